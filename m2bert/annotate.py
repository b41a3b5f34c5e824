"""A MIDI file or score in, labels of its notes and the piece out (docs/METHOD.md, "Annotation").

    python -m m2bert.annotate song.mid

applies the models that come with the code, or every fine-tuned model below `--model`. It writes
song.csv, song.json, song.annotated.mid, song.png and song.html into the folder `annotated`.
"""

import argparse
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

from m2bert.annotation.ensemble import annotate
from m2bert.annotation.labels import (
    KEY_CHANGE,
    UNSURE_BELOW,
    Annotation,
    mean_probability,
    shown_labels,
)
from m2bert.annotation.midi import write_annotation_midi
from m2bert.annotation.models import best_model, find_models
from m2bert.annotation.names import clock, counted, readable_name
from m2bert.annotation.page import write_page
from m2bert.annotation.picture import draw_annotation
from m2bert.annotation.tables import write_annotation_csv, write_annotation_json
from m2bert.base.arguments import OVERWRITE, PRECISIONS, checked, command_line, not_negative
from m2bert.base.devices import check_device, choose_device, choose_precision, enough_memory
from m2bert.base.errors import UserError, print_result, run_command, show_lines_at_once
from m2bert.base.files import read_json
from m2bert.base.outputs import output_files, sha256
from m2bert.model.folder import SHIPPED_MODELS
from m2bert.notes.reader import read_song
from m2bert.notes.song import Song
from m2bert.notes.windows import check_stride
from m2bert.tasks import TASKS

WRITERS: dict[str, Callable[[Annotation, Path], object]] = {
    ".csv": write_annotation_csv,
    ".json": write_annotation_json,
    ".annotated.mid": write_annotation_midi,
    ".png": draw_annotation,
    ".html": write_page,
}
"""The functions that write the files of an annotation, by the ending of the file's name."""

VELOCITY_TASK = "velocity"

MOST_LABELS, LEAST_SHARE = 5, 0.005
"""The summary names at most so many labels of a task, and only those of at least this share."""


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m m2bert.annotate",
        usage="%(prog)s song [flags]",  # the song first: --tasks would take it for a task
        description="Label the notes of a song, and the piece, with fine-tuned models.",
    )
    add = parser.add_argument
    add(
        "song",
        type=Path,
        help="a MIDI file or a score: .musicxml, .mxl, .krn, .mei (which need partitura)",
    )
    what = "fine-tuned models, or folders with several (default: the bundled models)"
    add("--model", type=Path, nargs="+", default=[SHIPPED_MODELS], metavar="FOLDER", help=what)
    what = "only these (all with a model; velocity only where the file has none of its own)"
    add("--tasks", nargs="+", metavar="NAME", help=what)
    add("--out", type=Path, default=Path("annotated"), help="folder of what is written (annotated)")
    what = "several models of a task: their mean (all), or the one with the best validation score"
    add("--which", choices=("all", "best"), default="all", help=what)
    what = "notes from one window to the next (half a window)"
    add("--stride", type=checked(check_stride), help=what)
    what = f"what a change of key costs; 0: the most probable key at every onset ({KEY_CHANGE:g})"
    add("--key_change", type=not_negative, default=KEY_CHANGE, help=what)
    add("--precision", choices=PRECISIONS, help="(bf16 on a GPU that has it, else fp32)")
    add("--cpu", action="store_true", help="use the CPU although there is a GPU")
    add("--overwrite", action="store_true", help=OVERWRITE)
    return parser.parse_args(command_line())


def main() -> None:
    args = parse_arguments()
    show_lines_at_once(escape=True)
    models = find_models(args.model, args.tasks)
    if args.which == "best":
        models = {task: [best_model(folders)] for task, folders in models.items()}
    song = read_song(args.song)
    if args.tasks is None and has_velocities(song) and models.keys() != {VELOCITY_TASK}:
        models.pop(VELOCITY_TASK, None)
    outputs = {f"{args.song.stem}{ending}": write for ending, write in WRITERS.items()}
    if not args.overwrite:
        refuse_other_song(args.out / f"{args.song.stem}.json", song)
    with output_files(args.out, outputs, args.overwrite) as temporary:
        device = choose_device(args.cpu)
        precision = choose_precision(args.precision, device)
        progress = partial(tqdm, desc="tasks", disable=None, leave=False, ncols=80)
        check_device(device)
        with enough_memory("--cpu computes on the CPU"):
            annotation = annotate(
                song, models, device, args.stride, precision, progress, args.key_change
            )
        for name, write in outputs.items():
            write(annotation, temporary / name)
    tracks = counted(len(np.unique(song.notes.track)), "track")
    introduction = f"{song.path}: {counted(len(song), 'note')}, {tracks}, {clock(song)}"
    written = "\n  ".join(["written:", *(str(args.out / name) for name in outputs)])
    print_result(f"{introduction}\n{summary(annotation)}\n{written}")


def refuse_other_song(path: Path, song: Song) -> None:
    """Raise `UserError` if there is an annotation of a file with other content at `path`."""
    other = None
    with suppress(UserError):  # it is not there, damaged, or no annotation
        other = read_json(path).get("sha256")
    if other and other != sha256(song.path):
        raise UserError(
            f"{path} is of another song of this name, or of an earlier version of it: choose "
            "another folder with --out, or replace it with --overwrite"
        )


def has_velocities(song: Song) -> bool:
    """Whether the pitched notes of a song are not all struck alike."""
    return len(np.unique(song.notes.velocity[~song.is_drum])) > 1


def summary(annotation: Annotation) -> str:
    """One line for each task with its commonest labels, then the warnings."""
    labels = annotation.note_labels | annotation.piece_labels
    width = max((len(TASKS[name].title) for name in labels), default=0)
    lines = []
    for name in labels:
        models = len(annotation.models[name])
        several = f"  (mean of {models} models)" if models > 1 else ""
        shares, certainty = shares_line(annotation, name), certainty_of(annotation, name)
        lines.append(f"  {TASKS[name].title:<{width}}  {shares}{certainty}{several}")
    return "\n".join(lines + [f"warning: {warning}" for warning in annotation.warnings])


def certainty_of(annotation: Annotation, task: str) -> str:
    """The mean probability of what `shares_line` says, in brackets; nothing without any."""
    mean = mean_probability(annotation, task)
    if mean is None:
        return ""
    kind = "probability" if task in annotation.piece_labels else "mean probability"
    return f"  ({kind} {mean:.2f}{', unsure' if mean < UNSURE_BELOW else ''})"


def shares_line(annotation: Annotation, task: str) -> str:
    """The greatest shares of the notes that were read (of keys as decoded over the piece) in
    percent; of a piece the most probable class."""
    if piece := annotation.piece_labels.get(task):
        return readable_name(piece.classes[piece.probabilities.argmax()])
    labels = annotation.note_labels[task]
    if not labels.was_read.any():
        return "no note that the models read"
    label = shown_labels(annotation, task)[0][labels.was_read]
    classes = labels.classes
    shares = np.bincount(label, minlength=len(classes)) / len(label)
    order = np.argsort(-shares, kind="stable")
    order = order[shares[order] >= LEAST_SHARE]
    named = [f"{readable_name(classes[k])} {shares[k]:.0%}" for k in order[:MOST_LABELS]]
    more = len(order) - len(named)
    return "; ".join(named) + (f" and {more} more" if more else "")


if __name__ == "__main__":
    run_command(main)
