"""The sources as data: adding one is adding a row and its reader."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from data_creation.benchmark.published import Item, write_part
from data_creation.benchmark.sets import DATA_SETS
from data_creation.benchmark.sources import augnet, bps_motif, midi, orch, pm2s, pop909, tnua
from data_creation.benchmark.sources.pieces import Piece
from data_creation.corpora import CORPORA
from m2bert.tasks import COMPOSERS, TASKS


class Source(NamedTuple):
    """A row: what is made of which files, and how.

    place: where the source lies, a folder of the command line and one below it; pieces: that place
    -> its pieces; read: the place and a piece -> its items (or of POP909 an aligned song); listing:
    the files, if any, that list the pieces; libraries: those that this source alone needs.
    """

    place: tuple[str, str]
    pieces: Callable[[Path], list[Piece]]
    read: Callable[[Path, Piece], Any]
    listing: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()


class Target(NamedTuple):
    """What is made: place, as of a source; parts, in order; outputs: a pattern of the files; write:
    see `write_arrays`."""

    place: tuple[str, str]
    parts: tuple[str, ...]
    outputs: str
    write: Callable[[str, list[tuple[Piece, Any]], Path], dict[str, Any]]


def write_arrays(
    name: str, part: str, read: list[tuple[Piece, list[Item]]], output_dir: Path
) -> dict[str, Any]:
    """Write what was read of the pieces of a part; returns "files", "counts", and "pieces", the
    name of each item's piece."""
    items = [item for _, its in read for item in its]
    counts = {
        "items": len(items),
        "notes": sum(len(item.notes) for item in items),
        "labels that the original gets wrong": sum(item.mended for item in items),
    }
    files = write_part(output_dir, DATA_SETS[name], part, items)
    return {"files": files, "counts": counts, "pieces": [p.name for p, its in read for _ in its]}


_by_folder = partial(midi.folded_pieces, COMPOSERS, lambda file: file.split("/")[-2])
_by_prefix = partial(
    midi.folded_pieces, TASKS["emotion"].classes, lambda file: Path(file).name.split("_")[0]
)
_POP909, _PIANIST8, _EMOPIA = (
    ("dataset_dir", CORPORA[name].folder) for name in ("pop909", "pianist8", "emopia")
)


def _own(module: Any, *more: tuple[str, ...]) -> Source:
    place = ("sources_dir", module.__name__.split(".")[-1])
    return Source(place, module.pieces, module.read, *more)


SOURCES = {
    "pop909_processed": Source(("pop909_dir", ""), pop909.pieces, pop909.align),
    "pop909": Source(_POP909, midi.split_pieces, midi.pop909),
    "bps_motif": _own(bps_motif, (), ("openpyxl",)),
    "orch": _own(orch, (orch.METADATA,)),
    "augnet": _own(augnet, (augnet.SUMMARY,), ("partitura",)),
    "pm2s": _own(pm2s, (pm2s.METADATA,)),
    "tnua": _own(tnua),
    "pianist8": Source(_PIANIST8, _by_folder, partial(midi.classed_piece, "composer")),
    "emopia": Source(_EMOPIA, _by_prefix, partial(midi.classed_piece, "emotion")),
    "tagatraum": Source(
        ("sources_dir", "tagatraum"), midi.genre_pieces, partial(midi.classed_piece, "genre")
    ),
}
"""POP909's aligned songs, and each data set of the benchmark by its name."""

TARGETS = {
    name: Target(("smc_dir", its.folder), its.parts, f"{name}_*.npy", partial(write_arrays, name))
    for name, its in DATA_SETS.items()
} | {"pop909_processed": Target(_POP909, pop909.PARTS, "*/*.mid", pop909.write)}
"""What is made, by the same names."""
