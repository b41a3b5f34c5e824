"""Runs the rows of `table`: the pieces of a source -> files, part by part.

Beside the files there is then NAME.json: the versions of the libraries, and for each part the files
that it was made of with their checksums (SHA-256), the pieces in the order of the items, counts,
and what was left out and why.
"""

import hashlib
import importlib.util
import platform
from collections.abc import Callable
from contextlib import closing
from functools import partial
from importlib.metadata import version
from itertools import chain, groupby
from pathlib import Path
from typing import Any

from tqdm import tqdm

from data_creation.benchmark.sources.pieces import LeftOut, Piece
from data_creation.benchmark.sources.table import SOURCES, TARGETS
from m2bert.base.errors import UserError
from m2bert.base.files import read_json, write_json
from m2bert.base.workers import WorkerFailure, map_in_processes
from m2bert.notes.skipped import SHOWN

SECONDS_PER_PIECE = 600  # far above what the longest score takes


def build(
    name: str, folder: Path, output_dir: Path, *, workers: int, strict: bool, overwrite: bool
) -> None:
    """Make the files of a row of `SOURCES` in `output_dir` from the source in `folder`.

    A part that was made of the same files before is left alone. A piece that cannot be used is
    named with the reason and left out. Raises `UserError` if the source or its library is not
    there, if a part has no items, if there are files that were not made here, and with `strict` if
    a piece is left out; the parts that were finished before are kept.
    """
    source, target = SOURCES[name], TARGETS[name]
    pieces = _find_pieces(name, folder)
    path = output_dir / f"{name}.json"
    made = _made_before(path, target.outputs, overwrite)
    libraries = ("numpy", "miditoolkit", *source.libraries)
    versions = {"python": platform.python_version()} | {name: version(name) for name in libraries}
    print(f"{name}: {len(pieces):,} pieces in {folder}")

    sources, todo = {}, []
    for part in target.parts:
        its = [piece for piece in pieces if piece.part == part]
        files = chain(source.listing, *(piece.files for piece in its))
        sources[part] = {file: _checksum(folder / file) for file in files}
        earlier = made.get(part, {"sources": None})
        if (
            earlier["sources"] == sources[part]
            and all((output_dir / file).exists() for file in earlier["files"])
            and not (strict and earlier["left_out"])
        ):
            print(f"  {part}: made before of the same files; --overwrite makes it anew")
        else:
            made.pop(part, None)
            todo += its
    write_json(path, {"versions": versions, "made": made})

    read = partial(_attempt, partial(source.read, folder))
    with closing(map_in_processes(read, todo, min(workers, len(todo)), SECONDS_PER_PIECE)) as done:
        pairs = zip(todo, tqdm(done, name, len(todo), unit=" pieces", disable=None), strict=True)
        for part, group in groupby(pairs, lambda pair: pair[0].part):
            used, left_out = _without_left_out(part, list(group), strict)
            written = target.write(part, used, output_dir)
            counts = (f"{count:,} {what}" for what, count in written["counts"].items() if count)
            print(f"  {part}: {', '.join(counts)}")
            made[part] = written | {"left_out": left_out, "sources": sources[part]}
            write_json(path, {"versions": versions, "made": made})
    if absent := [part for part in target.parts if part not in made]:
        raise UserError(f"{name}: there are no pieces of {', '.join(absent)}")


def _find_pieces(name: str, folder: Path) -> list[Piece]:
    source = SOURCES[name]
    for path in (folder, *(folder / file for file in source.listing)):
        if not path.exists():
            raise UserError(f"{name} is missing: there is no {path}")
    for library in source.libraries:
        if importlib.util.find_spec(library) is None:
            raise UserError(f"{name} needs one more library: pip install {library}")
    pieces = _attempt(source.pieces, folder)
    if isinstance(pieces, LeftOut):
        raise UserError(f"{name}: {', '.join(source.listing)} in {folder} cannot be used: {pieces}")
    return pieces


def _made_before(path: Path, outputs: str, overwrite: bool) -> dict[str, Any]:
    """What the record at `path` says that was made; nothing if there is none."""
    if not overwrite and path.exists():
        return read_json(path).get("made", {})
    foreign = next(path.parent.glob(outputs), None)
    if foreign and not overwrite:
        raise UserError(
            f"{foreign} is there, but was not made here (no {path.name} beside it); choose another "
            "folder, or replace it with --overwrite"
        )
    return {}


def _checksum(path: Path) -> str | None:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None


def _attempt(function: Callable[[Any], Any], argument: Any) -> Any:
    """`function(argument)`, or in its place the `LeftOut` that says why there is none."""
    try:
        return function(argument)
    except LeftOut as left_out:
        return left_out
    except FileNotFoundError as error:
        return LeftOut(f"there is no {Path(error.filename).name}")
    except Exception as error:  # whatever a file that is not as expected leads a reader to
        return LeftOut(f"a file is damaged or of another kind ({type(error).__name__})")


def _without_left_out(
    part: str, read: list[tuple[Piece, Any]], strict: bool
) -> tuple[list[tuple[Piece, Any]], dict[str, str]]:
    """What was read of the pieces, and why others are left out, of which the first are printed."""
    left_out = {}
    for piece, result in read:
        if isinstance(result, WorkerFailure):
            left_out[piece.name] = f"{result.reason} ({result.detail})"
        elif isinstance(result, LeftOut):
            left_out[piece.name] = str(result)
    if left_out:
        print(f"  {part}: {len(left_out):,} of {len(read):,} pieces are left out:")
    for name, why in list(left_out.items())[:SHOWN]:
        print(f"    {name}: {why}")
    if len(left_out) > SHOWN:
        print(f"    and {len(left_out) - SHOWN:,} more")
    if left_out and (strict or len(left_out) == len(read)):
        raise UserError(f"{part} is not made: {len(left_out)} of its pieces cannot be used")
    return [pair for pair in read if pair[0].name not in left_out], left_out
