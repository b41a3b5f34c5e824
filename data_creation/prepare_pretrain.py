"""Command: folders of MIDI files and scores -> corpora for pre-training.

    python -m data_creation.prepare_pretrain --dataset_dir dataset_dir --output_dir data/pretrain

makes the paper's six corpora, and those of OpenScore if their folders exist; `--dataset NAME` only
those named. Any other name reads every MIDI file and score below `--dataset_dir`. Complete corpora
are kept.
"""

import argparse
import hashlib
import os
import re
import sys
from functools import partial
from pathlib import Path
from time import monotonic

import numpy as np

from data_creation.corpora import CORPORA, find_files
from m2bert.base.arguments import positive_int, show_defaults
from m2bert.base.errors import UserError, run_command, show_lines_at_once
from m2bert.base.files import read_json
from m2bert.notes.file_reading import read_files
from m2bert.notes.midi_reader import READERS, SYMUSIC, check_reader
from m2bert.notes.reader import read_song
from m2bert.notes.skipped import Tallies, print_counts, print_defects, print_first
from m2bert.notes.tokens import check_four_four, cp_notes_of
from m2bert.pretraining.corpus import PAPERS_CORPORA, Corpus, open_flat
from m2bert.pretraining.corpus_writer import CorpusWriter, write_corpus

ANY_TIME_SIGNATURE = "any_time_signature"
"""Part of `inputs` in the JSON of a corpus of such pieces."""


def main() -> int:
    arguments = vars(parse_arguments())
    show_lines_at_once(escape=True)
    check_reader(arguments["midi_reader"])
    names, missing = arguments.pop("dataset"), []
    for name in names:
        try:
            make_corpus(name, **arguments)
        except UserError as error:
            missing.append(name)
            print(f"error: {error}", file=sys.stderr)
    if missing and len(names) > 1:
        print(f"failed: {', '.join(missing)} (see above)", file=sys.stderr)
    return 1 if missing else 0


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m data_creation.prepare_pretrain",
        description="Convert folders of MIDI files and scores to corpora for pre-training. "
        "Complete corpora are kept.",
    )
    add, no_default = parser.add_argument, argparse.SUPPRESS
    what = f"corpora to make, of {', '.join(CORPORA)}; any other name reads every MIDI file "
    what += "below --dataset_dir and, with partitura, every score (default: those of the paper, "
    what += "and the others if their folders exist)"
    add("--dataset", nargs="+", metavar="NAME", type=corpus_name, default=no_default, help=what)
    what = "folder of the data sets' folders, or of your own music"
    add("--dataset_dir", type=Path, default=Path("dataset_dir"), help=what)
    add("--lmd_dir", type=Path, help="folder lmd_matched, if it is not below --dataset_dir")
    add("--output_dir", type=Path, default=Path("data/pretrain"), help="folder of the corpora")
    add("--num_workers", type=positive_int, default=os.cpu_count(), help="worker processes")
    what = "use files of any time signature, cut into bars of four quarter notes (default: only "
    what += "files in 4/4, as in the paper)"
    add("--any_time_signature", action="store_true", help=what)
    what = f"library that parses MIDI files; symusic is faster and needs pip install {SYMUSIC}"
    add("--midi_reader", choices=READERS, default="mido", help=what)
    what = "rebuild corpora; an old corpus is kept until the new one is complete"
    add("--overwrite", action="store_true", help=what)
    show_defaults(parser)
    arguments = parser.parse_args()
    if "dataset" not in arguments:
        arguments.dataset = default_corpora(arguments.dataset_dir)
    return arguments


def default_corpora(dataset_dir: Path) -> list[str]:
    """The paper's corpora, and the others whose folders exist."""
    return [
        name
        for name, source in CORPORA.items()
        if name in PAPERS_CORPORA or (dataset_dir / source.folder).is_dir()
    ]


def corpus_name(text: str) -> str:
    """Check a corpus's name, which becomes a file name."""
    if not re.fullmatch(r"\w[\w-]*", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a name of letters, digits, _ and -")
    for known in CORPORA:
        if text.lower() == known.lower() and text != known:
            raise argparse.ArgumentTypeError(f"{text!r} is not a corpus; did you mean {known}?")
    return text


def make_corpus(
    name: str,
    dataset_dir: Path,
    output_dir: Path,
    *,
    num_workers: int,
    overwrite: bool = False,
    lmd_dir: Path | None = None,
    midi_reader: str = "mido",
    any_time_signature: bool = False,
) -> None:
    """Make one corpus in `output_dir`, or keep it if it is complete.

    Files that give no song are listed with the reason in `NAME.json`. Raises `UserError` if no file
    is usable, or if a complete corpus was made from other files or by another rule for time
    signatures.
    """
    if not overwrite and (corpus := complete_corpus(output_dir, name)):
        check_same_inputs(output_dir, name, dataset_dir, lmd_dir, any_time_signature)
        print(
            f"{name}: complete in {output_dir} ({len(corpus):,} songs, {len(corpus.notes):,} "
            "notes); --overwrite rebuilds it"
        )
        return
    folder, files = find_files(name, dataset_dir, lmd_dir)
    print(f"{name}: {len(files):,} files in {folder}")
    begin = monotonic()
    inputs = fingerprint(folder, files, midi_reader, any_time_signature)
    read = partial(read_file, folder, midi_reader, name in PAPERS_CORPORA, any_time_signature)
    with write_corpus(output_dir, name, inputs, overwrite) as writer:
        for file, song in read_files(read, files, num_workers, writer.skipped, name):
            writer.add(file, *song)
        print_summary(writer, len(files), monotonic() - begin)
        if not writer.files:
            print_first(writer.skipped)
            raise UserError(f"{name}: none of the {len(files)} files in {folder} is usable")
    print(f"  written to {output_dir / name}.npy, .offsets.npy and .json (songs, skipped files)")


def complete_corpus(output_dir: Path, name: str) -> Corpus | None:
    """The corpus if it is there; if it is damaged, a line about that is printed."""
    if not (output_dir / f"{name}.json").exists():
        return None
    try:
        return open_flat(output_dir, name)
    except UserError as error:
        print(f"{name}: damaged, rebuilt: {error}")
        return None


def check_same_inputs(
    output_dir: Path, name: str, dataset_dir: Path, lmd_dir: Path | None, any_time_signature: bool
) -> None:
    """Raise `UserError` if a complete corpus was made from other files than those there now, unless
    they are gone, or by another rule for time signatures."""
    inputs = read_json(output_dir / f"{name}.json").get("inputs", "")
    if (ANY_TIME_SIGNATURE in inputs) != any_time_signature:
        kept = "any time signature" if ANY_TIME_SIGNATURE in inputs else "4/4 alone"
        raise UserError(
            f"{name}: the corpus in {output_dir} has pieces in {kept}: --overwrite rebuilds it, or "
            "name another --output_dir"
        )
    try:
        folder, files = find_files(name, dataset_dir, lmd_dir)
    except UserError:
        return
    if inputs.split(" ")[-1] != fingerprint(folder, files):
        raise UserError(
            f"{name}: the corpus in {output_dir} was made from other files than those that are in "
            f"{folder} now: --overwrite rebuilds it"
        )


def fingerprint(
    folder: Path, files: list[str], reader: str = "mido", any_time_signature: bool = False
) -> str:
    """Identify files by names and sizes, after the settings that are not the defaults."""
    digest = hashlib.sha256()
    for file in files:
        try:
            facts = f"{file}\0{(folder / file).stat().st_size}\n"
        except OSError:  # listed but not there: it will be skipped
            facts = f"{file}\n"
        digest.update(facts.encode("utf-8", "surrogateescape"))
    settings = [reader] if reader != "mido" else []
    settings += [ANY_TIME_SIGNATURE] if any_time_signature else []
    return " ".join([*settings, digest.hexdigest()])


def read_file(
    folder: Path, reader: str, as_published: bool, any_time_signature: bool, file: str
) -> tuple[np.ndarray, Tallies]:
    """CP notes of a file and what is wrong in it. Raises `RejectedSong` if it is skipped."""
    song = read_song(folder / file, reader, as_published)
    if not any_time_signature:
        check_four_four(song.notes, by_default=not as_published)
    return cp_notes_of(song), song.defects


def print_summary(writer: CorpusWriter, files: int, seconds: float) -> None:
    print(
        f"  {len(writer.files):,} songs, {writer.notes:,} notes; {files:,} files in "
        f"{seconds:.1f} s ({files / max(seconds, 1e-9):.0f} files/s)"
    )
    print_defects(writer.defects.values())
    print_counts(writer.skipped)


if __name__ == "__main__":
    run_command(main, resumable=True)
