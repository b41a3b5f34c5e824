"""Command: source data sets -> POP909 aligned to its beats, and SMCBenchmark's arrays.

    python -m data_creation.build_from_sources --dataset pop909_processed --pop909_dir POP909
    python -m data_creation.build_from_sources --sources_dir sources --smc_dir SMC

The first makes `dataset_dir/pop909_processed`, the second the data sets of all tasks whose sources
are there (`docs/sources.md`). Beside the files, NAME.json then has the versions of the libraries,
and for each part the files that it was made of with their SHA-256, the pieces in the order of the
items, counts, and what was left out and why. Killed at any time, the same command goes on.
"""

import argparse
import hashlib
import os
import platform
from collections.abc import Callable
from contextlib import closing
from functools import partial
from importlib import metadata, util
from itertools import chain, groupby
from pathlib import Path
from typing import Any

from tqdm import tqdm

from data_creation.benchmark.sources.pieces import Piece
from data_creation.benchmark.sources.table import SOURCES
from m2bert.base.arguments import count
from m2bert.base.errors import UserError, run_command, show_lines_at_once, tell
from m2bert.base.files import read_json, write_json
from m2bert.base.workers import WorkerFailure, map_in_processes
from m2bert.notes.skipped import SHOWN, RejectedSong

SECONDS_PER_PIECE = 600  # far above what the longest score takes


def main() -> None:
    arguments = vars(parse_arguments())
    show_lines_at_once(escape=True)
    settings = {flag: arguments[flag] for flag in ("num_workers", "strict", "overwrite")}
    failed = []
    for name in arguments["dataset"]:
        ends = SOURCES[name].place, SOURCES[name].target
        try:
            build(name, *(arguments[flag] / below for flag, below in ends), **settings)
        except UserError as error:
            failed.append(name)
            tell(error)
    if failed:
        raise UserError(f"not made, or not all of it: {', '.join(failed)} (see above)")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m data_creation.build_from_sources",
        description="Align POP909, and make SMCBenchmark's arrays, from their sources. What was "
        "made of the same files before is left alone; a bad piece is named and left out.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add, names = parser.add_argument, [n for n in SOURCES if SOURCES[n].target[0] == "smc_dir"]
    add("--dataset", nargs="+", choices=SOURCES, default=names, help="what to make")
    for flag, default, help in (
        ("--pop909_dir", "POP909", "holds POP909's folders 001 to 909"),
        ("--sources_dir", "sources", "holds a folder for each other source"),
        ("--dataset_dir", "dataset_dir", "holds the corpora, pop909_processed among them"),
        ("--smc_dir", "SMC", "where the benchmark's arrays go"),
    ):
        add(flag, type=Path, default=Path(default), help=help)
    add("--num_workers", type=count, default=os.cpu_count(), help="processes")
    add("--strict", action="store_true", help="a piece that cannot be used is an error")
    add("--overwrite", action="store_true", help="make everything anew, whoever made it")
    return parser.parse_args()


def build(
    name: str, folder: Path, output_dir: Path, *, num_workers: int, strict: bool, overwrite: bool
) -> None:
    """Make the files of a row of `SOURCES` in `output_dir` from the source in `folder`.

    A part that was made of the same files before is left alone; a piece that cannot be used is
    named with the reason and left out. Raises `UserError` if the source or its library is missing,
    a part has no items, files were not made here, or, with `strict`, a piece is left out.
    """
    source, path = SOURCES[name], output_dir / f"{name}.json"
    pieces = _find_pieces(name, folder)
    made = {} if overwrite else _made_before(path)
    libraries = ("numpy", "miditoolkit", *source.libraries)
    versions = {"python": platform.python_version()} | {x: metadata.version(x) for x in libraries}
    record = {"versions": versions, "made": made}
    print(f"{name}: {len(pieces):,} pieces in {folder}")

    sources, todo = {}, []
    for part in source.parts:
        its = [piece for piece in pieces if piece.part == part]
        files = chain(source.listing, *(piece.files for piece in its))
        sources[part] = {file: _checksum(folder / file) for file in files}
        earlier = made.pop(part, {"sources": None})
        is_whole = all((output_dir / file).exists() for file in earlier.get("files", ()))
        if earlier["sources"] != sources[part] or not is_whole or (strict and earlier["left_out"]):
            todo += its
        else:
            made[part] = earlier
            print(f"  {part}: made before of the same files; --overwrite makes it anew")
    write_json(path, record)

    read, workers = partial(_attempt, partial(source.read, folder)), min(num_workers, len(todo))
    with closing(map_in_processes(read, todo, workers, SECONDS_PER_PIECE)) as results:
        bar = tqdm(results, name, len(todo), unit=" pieces", disable=None)
        for part, group in groupby(zip(todo, bar, strict=True), lambda pair: pair[0].part):
            names, items, left_out = _without_left_out(part, list(group), strict)
            written, counts = source.write(part, items, output_dir)
            print(f"  {part}:", ", ".join(f"{n:,} {what}" for what, n in counts.items() if n))
            made[part] = {"files": written, "counts": counts, "pieces": names}
            made[part] |= {"left_out": left_out, "sources": sources[part]}
            write_json(path, record)
    if absent := [part for part in source.parts if part not in made]:
        raise UserError(f"{name}: there are no pieces of {', '.join(absent)}")


def _find_pieces(name: str, folder: Path) -> list[Piece]:
    source = SOURCES[name]
    for path in (folder, *(folder / file for file in source.listing)):
        if not path.exists():
            raise UserError(f"{name} is missing: there is no {path}")
    for library in source.libraries:
        if util.find_spec(library) is None:
            raise UserError(f"{name} needs one more library: pip install {library}")
    pieces = _attempt(source.pieces, folder)
    if isinstance(pieces, UserError):
        raise UserError(f"{name}: {', '.join(source.listing)} in {folder} cannot be used: {pieces}")
    return pieces


def _made_before(path: Path) -> dict[str, Any]:
    """What the record at `path` says that was made; nothing if there is none."""
    if path.exists():
        return read_json(path).get("made", {})
    for foreign in chain(path.parent.glob(f"{path.stem}_*.npy"), path.parent.glob("*/*.mid")):
        raise UserError(
            f"{foreign} is there, but was not made here (no {path.name} beside it); choose another "
            "folder, or replace it with --overwrite"
        )
    return {}


def _checksum(path: Path) -> str | None:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None


def _attempt(function: Callable[[Any], Any], argument: Any) -> Any:
    """`function(argument)`, or in its place the `UserError` that says why there is none."""
    try:
        return function(argument)
    except RejectedSong as rejection:
        name = rejection.path.name if rejection.path else "its file"
        return UserError(f"{name} is {rejection.reason} ({rejection.detail})")
    except UserError as error:
        return error
    except FileNotFoundError as error:
        return UserError(f"there is no {Path(error.filename).name}")
    except Exception as error:  # whatever a file that is not as expected leads a reader to
        files = " or ".join(getattr(argument, "files", ()))
        return UserError(f"{files} is damaged or of another kind ({type(error).__name__})")


def _without_left_out(
    part: str, read: list[tuple[Piece, Any]], strict: bool
) -> tuple[list[str], list, dict[str, str]]:
    """For each item its piece's name; the items; and why pieces are left out, the first printed."""
    failed = UserError | WorkerFailure
    left_out = {p.name: str(getattr(x, "reason", x)) for p, x in read if isinstance(x, failed)}
    reasons = [f"    {name}: {why}" for name, why in left_out.items()]
    if left_out:
        count = f"  {part}: {len(left_out):,} of {len(read):,} pieces are left out, the first ones:"
        print("\n".join([count, *reasons[:SHOWN]]))
    if left_out and (strict or len(left_out) == len(read)):
        raise UserError(f"{part} is not made: {len(left_out)} of its pieces cannot be used")
    used = [(p.name, item) for p, its in read if p.name not in left_out for item in its]
    return [name for name, _ in used], [item for _, item in used], left_out


if __name__ == "__main__":
    run_command(main, goes_on=True)
