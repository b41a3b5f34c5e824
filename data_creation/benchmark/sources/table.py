"""The sources as data: adding one is adding a row and its reader."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from data_creation.benchmark.sets import DATA_SETS
from data_creation.benchmark.sources import augnet, bps_motif, midi, orch, pm2s, pop909, tnua
from data_creation.benchmark.sources.pieces import Piece, Written, write_part
from data_creation.corpora import CORPORA


class Source(NamedTuple):
    """A row. place, target: where the source lies and where the result goes, each a flag of the
    command line (without --) and a path below the folder that it names; pieces lists the pieces in
    the place; read makes a piece's items; write writes those of a part; listing: the files that
    list the pieces; libraries: those that only this source needs.
    """

    place: tuple[str, str]
    target: tuple[str, str]
    parts: tuple[str, ...]
    pieces: Callable[[Path], list[Piece]]
    read: Callable[[Path, Piece], list]
    write: Callable[[str, list, Path], Written]
    listing: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()


def _row(name: str, pieces: Callable, read: Callable, *listing: str, **more: Any) -> Source:
    """A data set of the benchmark, made of a corpus of pre-training or of a source of its own."""
    corpus, data_set = CORPORA.get(name), DATA_SETS[name]
    place = ("dataset_dir", corpus.folder) if corpus else ("sources_dir", name)
    target, write = ("smc_dir", data_set.folder), partial(write_part, data_set)
    return Source(place, target, data_set.parts, pieces, read, write, listing, **more)


_songs = ("pop909_dir", ""), ("dataset_dir", CORPORA["pop909"].folder)
_by_folder = partial(midi.folded_pieces, "composer", lambda file: file.split("/")[-2])
_by_prefix = partial(midi.folded_pieces, "emotion", lambda file: Path(file).name.split("_")[0])
SOURCES = {
    "pop909_processed": Source(*_songs, pop909.PARTS, pop909.pieces, pop909.align, pop909.write),
    "pop909": _row("pop909", midi.split_pieces, midi.pop909),
    "bps_motif": _row("bps_motif", bps_motif.pieces, bps_motif.read, libraries=("openpyxl",)),
    "orch": _row("orch", orch.pieces, orch.read, orch.METADATA),
    "augnet": _row("augnet", augnet.pieces, augnet.read, augnet.SUMMARY, libraries=("partitura",)),
    "pm2s": _row("pm2s", pm2s.pieces, pm2s.read, pm2s.METADATA),
    "tnua": _row("tnua", tnua.pieces, tnua.read),
    "pianist8": _row("pianist8", _by_folder, partial(midi.classed_piece, "composer")),
    "emopia": _row("emopia", _by_prefix, partial(midi.classed_piece, "emotion")),
    "tagatraum": _row("tagatraum", midi.genre_pieces, partial(midi.classed_piece, "genre")),
}
"""POP909's aligned songs, and each data set of the benchmark by its name."""
