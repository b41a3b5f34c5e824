"""Command: source data sets -> POP909 aligned to its beats, and SMCBenchmark's arrays.

    python -m data_creation.build_from_sources --dataset pop909_processed --pop909_dir POP909
    python -m data_creation.build_from_sources --sources_dir sources --smc_dir SMC

The first makes `dataset_dir/pop909_processed`, the second the data sets of all tasks whose sources
exist (`docs/sources.md`). NAME.json beside the files has the versions of the libraries, and for
each part its source files with their SHA-256, pieces, counts, and omitted pieces with the reason.
"""

import argparse
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
from m2bert.base.arguments import positive_int, show_defaults
from m2bert.base.errors import UserError, print_error, run_command, show_lines_at_once
from m2bert.base.files import read_json, write_json
from m2bert.base.outputs import output_files, sha256
from m2bert.base.workers import WorkerFailure, map_in_processes
from m2bert.notes.skipped import SHOWN, RejectedSong

SECONDS_PER_PIECE = 600  # far more than the longest score takes


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
            print_error(error)
    if failed:
        raise UserError(f"failed, at least in part: {', '.join(failed)} (see above)")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m data_creation.build_from_sources",
        description="Align POP909, or build SMCBenchmark's arrays, from their sources. Parts "
        "whose source files are unchanged are kept; unusable pieces are omitted and reported.",
    )
    add, names = parser.add_argument, [n for n in SOURCES if SOURCES[n].target[0] == "smc_dir"]
    add("--dataset", nargs="+", choices=SOURCES, default=names, help="data sets to build")
    for flag, default, help in (
        ("--pop909_dir", "POP909", "folder of POP909, with the folders 001 to 909"),
        ("--sources_dir", "sources", "folder with a subfolder for each other source"),
        (
            "--dataset_dir",
            "dataset_dir",
            "folder of pop909_processed and of the corpora's data sets",
        ),
        ("--smc_dir", "SMC", "output folder of the benchmark's arrays"),
    ):
        add(flag, type=Path, default=Path(default), help=help)
    add("--num_workers", type=positive_int, default=os.cpu_count(), help="worker processes")
    add("--strict", action="store_true", help="treat unusable pieces as errors")
    add("--overwrite", action="store_true", help="rebuild everything")
    show_defaults(parser)
    return parser.parse_args()


def build(
    name: str, folder: Path, output_dir: Path, *, num_workers: int, strict: bool, overwrite: bool
) -> None:
    """Make the files of a row of `SOURCES` in `output_dir` from the source in `folder`.

    A part that was made of the same files before is kept; a piece that cannot be used is omitted,
    and with `strict` a `UserError`, which is also raised for a missing source or library and a part
    without items.
    """
    source, path = SOURCES[name], output_dir / f"{name}.json"
    pieces = _find_pieces(name, folder)
    made = {} if overwrite or not path.exists() else read_json(path).get("made", {})
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
        is_complete = all((output_dir / file).exists() for file in earlier.get("files", ()))
        is_same = earlier["sources"] == sources[part] and is_complete
        if not is_same or (strict and earlier["omitted"]):
            todo += its
        else:
            made[part] = earlier
            print(f"  {part}: up to date; --overwrite rebuilds it")

    read, workers = partial(_attempt, partial(source.read, folder)), min(num_workers, len(todo))
    with closing(map_in_processes(read, todo, workers, SECONDS_PER_PIECE)) as results:
        bar = tqdm(results, name, len(todo), unit=" pieces", disable=None)
        for part, group in groupby(zip(todo, bar, strict=True), lambda pair: pair[0].part):
            names, items, omitted = _without_omitted(part, list(group), strict)
            with output_files(output_dir, overwrite=overwrite) as temporary:
                written, counts = source.write(part, items, temporary)
            print(f"  {part}:", ", ".join(f"{n:,} {what}" for what, n in counts.items() if n))
            made[part] = {"files": written, "counts": counts, "pieces": names}
            made[part] |= {"omitted": omitted, "sources": sources[part]}
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


def _checksum(path: Path) -> str | None:
    return sha256(path) if path.is_file() else None


def _attempt(function: Callable[[Any], Any], argument: Any) -> Any:
    """`function(argument)`, or a `UserError` in place of any exception."""
    try:
        return function(argument)
    except RejectedSong as rejection:
        name = rejection.path.name if rejection.path else "its file"
        return UserError(f"{name} is {rejection.reason} ({rejection.detail})")
    except UserError as error:
        return error
    except FileNotFoundError as error:
        return UserError(f"there is no {Path(error.filename).name}")
    except Exception as error:  # of any kind, for unexpected files
        files = " or ".join(getattr(argument, "files", ()))
        return UserError(f"{files} is damaged or of another kind ({type(error).__name__})")


def _without_omitted(
    part: str, read: list[tuple[Piece, Any]], strict: bool
) -> tuple[list[str], list, dict[str, str]]:
    """The name of each item's piece; the items; and why pieces are omitted."""
    failed = UserError | WorkerFailure
    omitted = {p.name: str(getattr(x, "reason", x)) for p, x in read if isinstance(x, failed)}
    if omitted:
        print(f"  {part}: {len(omitted):,} of {len(read):,} pieces are omitted, the first ones:")
        for name, reason in list(omitted.items())[:SHOWN]:
            print(f"    {name}: {reason}")
    if omitted and (strict or len(omitted) == len(read)):
        raise UserError(f"{part} failed: {len(omitted)} of its pieces cannot be used")
    used = [(p.name, item) for p, its in read if p.name not in omitted for item in its]
    return [name for name, _ in used], [item for _, item in used], omitted


if __name__ == "__main__":
    run_command(main, resumable=True)
