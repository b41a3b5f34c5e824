"""The sources as data: adding one is adding a row and its reader."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from data_creation.benchmark.sources import augnet, bps_motif, midi, orch, pm2s, pop909, tnua
from data_creation.benchmark.sources.pieces import Piece, write_arrays
from data_creation.corpora import CORPORA
from m2bert.tasks import COMPOSERS, TASKS


class Source(NamedTuple):
    """A row: what is made of which files, and how.

    Attributes:
        place: the folder of the source: a flag of the command line (without --), and the path below
            the folder that it names.
        pieces: a function that lists the pieces in this folder.
        read: a function that makes the items of a piece, from the folder and the piece.
        write: a function that writes the items of a part.
        listing: the files that list the pieces, if there are any.
        libraries: libraries that only this source needs.
        target, parts: where the result goes, given as `place` is, and its parts; only for what is
            not a data set of the benchmark.
    """

    place: tuple[str, str]
    pieces: Callable[[Path], list[Piece]]
    read: Callable[[Path, Piece], Any]
    write: Callable[[str, list[tuple[Piece, Any]], Path], dict[str, Any]]
    listing: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()
    target: tuple[str, str] | None = None
    parts: tuple[str, ...] = ()


def _row(name: str, pieces: Callable, read: Callable, **more: Any) -> Source:
    """A data set of the benchmark, made of a corpus of pre-training or of a source of its own."""
    corpus = CORPORA.get(name)
    place = ("dataset_dir", corpus.folder) if corpus else ("sources_dir", name)
    return Source(place, pieces, read, partial(write_arrays, name), **more)


_by_folder = partial(midi.folded_pieces, COMPOSERS, lambda file: file.split("/")[-2])
_EMOTIONS = TASKS["emotion"].classes
_by_prefix = partial(midi.folded_pieces, _EMOTIONS, lambda file: Path(file).name.split("_")[0])
SOURCES = {
    "pop909_processed": Source(
        ("pop909_dir", ""),
        pop909.pieces,
        pop909.align,
        pop909.write,
        target=("dataset_dir", CORPORA["pop909"].folder),
        parts=pop909.PARTS,
    ),
    "pop909": _row("pop909", midi.split_pieces, midi.pop909),
    "bps_motif": _row("bps_motif", bps_motif.pieces, bps_motif.read, libraries=("openpyxl",)),
    "orch": _row("orch", orch.pieces, orch.read, listing=(orch.METADATA,)),
    "augnet": _row(
        "augnet", augnet.pieces, augnet.read, listing=(augnet.SUMMARY,), libraries=("partitura",)
    ),
    "pm2s": _row("pm2s", pm2s.pieces, pm2s.read, listing=(pm2s.METADATA,)),
    "tnua": _row("tnua", tnua.pieces, tnua.read),
    "pianist8": _row("pianist8", _by_folder, partial(midi.classed_piece, "composer")),
    "emopia": _row("emopia", _by_prefix, partial(midi.classed_piece, "emotion")),
    "tagatraum": _row("tagatraum", midi.genre_pieces, partial(midi.classed_piece, "genre")),
}
"""POP909's aligned songs, and each data set of the benchmark by its name."""
