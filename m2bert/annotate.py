"""A MIDI file or score in, labels of its notes and the piece out (docs/METHOD.md, "Annotation").

    python -m m2bert.annotate song.mid

applies the bundled models, or every fine-tuned model below `--model`, and writes the files of
`WRITERS` into the folder `annotated`.
"""

import argparse
from collections.abc import Callable
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
from m2bert.annotation.midi import VOICE_TASK, write_marked_midi, write_voices_midi
from m2bert.annotation.models import best_model, find_models
from m2bert.annotation.names import clock, counted, readable_name
from m2bert.annotation.page import write_page
from m2bert.annotation.picture import draw_annotation
from m2bert.annotation.tables import write_annotation_csv, write_annotation_json
from m2bert.base.arguments import OVERWRITE, PRECISIONS, checked, command_line, not_negative
from m2bert.base.devices import check_device, choose_device, choose_precision, enough_memory
from m2bert.base.errors import print_result, run_command, show_lines_at_once
from m2bert.base.outputs import output_files
from m2bert.model.folder import SHIPPED_MODELS
from m2bert.model.transposition import OCTAVE, check_transpositions
from m2bert.notes.reader import read_song
from m2bert.notes.song import Song
from m2bert.notes.windows import check_stride
from m2bert.tasks import TASKS

VOICES = ".parts.mid"
"""Ending of the file that is only written if the voices are labelled."""

WRITERS: dict[str, Callable[..., object]] = {
    ".csv": write_annotation_csv,
    ".json": write_annotation_json,
    ".annotated.mid": write_marked_midi,
    VOICES: write_voices_midi,
    ".png": draw_annotation,
    ".html": write_page,
}
"""Functions of an annotation and a path that write its files, by the endings of their names."""

VELOCITY_TASK = "velocity"

MOST_LABELS, LEAST_FRACTION = 5, 0.005
"""The summary lists at most so many labels of a task, each of at least this fraction of notes."""


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
    add("--out", type=Path, default=Path("annotated"), help="folder of the outputs (annotated)")
    what = "several models of a task: their mean (all), or the one with the best validation score"
    add("--which", choices=("all", "best"), default="all", help=what)
    what = "notes from one window to the next (half a window)"
    add("--stride", type=checked(check_stride), help=what)
    what = f"transpositions averaged for chord roots and keys; 1 is faster ({OCTAVE})"
    add("--transpositions", type=checked(check_transpositions), default=OCTAVE, help=what)
    what = f"cost of a change of key; 0: the most probable key at each onset ({KEY_CHANGE:g})"
    add("--key_change", type=not_negative, default=KEY_CHANGE, help=what)
    what = "in the MIDI file, mark beats and downbeats besides chords and keys"
    add("--markers", choices=("beats",), help=what)
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
    writers = WRITERS | {".annotated.mid": partial(write_marked_midi, beats=bool(args.markers))}
    if VOICE_TASK not in models:
        del writers[VOICES]
    outputs = {f"{args.song.stem}{ending}": write for ending, write in writers.items()}
    with output_files(args.out, outputs, args.overwrite) as temporary:
        device = choose_device(args.cpu)
        precision = choose_precision(args.precision, device)
        progress = partial(tqdm, desc="tasks", disable=None, leave=False, ncols=80)
        check_device(device)
        with enough_memory("--cpu computes on the CPU"):
            annotation = annotate(
                song,
                models,
                device,
                args.stride,
                precision,
                progress,
                args.key_change,
                args.transpositions,
            )
        for name, write in outputs.items():
            write(annotation, temporary / name)
    tracks = counted(len(np.unique(song.notes.track)), "track")
    introduction = f"{song.path}: {counted(len(song), 'note')}, {tracks}, {clock(song)}"
    written = "\n  ".join(["written:", *(str(args.out / name) for name in outputs)])
    print_result(f"{introduction}\n{summary(annotation)}\n{written}")


def has_velocities(song: Song) -> bool:
    """Whether the pitched notes of a song have different velocities."""
    return len(np.unique(song.notes.velocity[~song.is_drum])) > 1


def summary(annotation: Annotation) -> str:
    """One line for each task with its most frequent labels, then the warnings."""
    labels = annotation.note_labels | annotation.piece_labels
    width = max((len(TASKS[name].title) for name in labels), default=0)
    lines = []
    for name in labels:
        models = len(annotation.models[name])
        several = f"  (mean of {models} models)" if models > 1 else ""
        line = f"{fractions(annotation, name)}{certainty(annotation, name)}{several}"
        lines.append(f"  {TASKS[name].title:<{width}}  {line}")
    return "\n".join(lines + [f"warning: {warning}" for warning in annotation.warnings])


def certainty(annotation: Annotation, task: str) -> str:
    """The mean probability of the labels, in brackets; empty if no note was read."""
    mean = mean_probability(annotation, task)
    if mean is None:
        return ""
    kind = "probability" if task in annotation.piece_labels else "mean probability"
    return f"  ({kind} {mean:.2f}{', unsure' if mean < UNSURE_BELOW else ''})"


def fractions(annotation: Annotation, task: str) -> str:
    """The most frequent labels with their fractions of the notes; of a piece its class."""
    if piece := annotation.piece_labels.get(task):
        return readable_name(piece.name)
    labels = annotation.note_labels[task]
    if not labels.was_read.any():
        return "no note that the models read"
    label = shown_labels(annotation, task)[0][labels.was_read]
    found = np.bincount(label, minlength=len(labels.classes)) / len(label)
    order = np.argsort(-found, kind="stable")
    order = order[found[order] >= LEAST_FRACTION]
    named = [f"{readable_name(labels.classes[k])} {found[k]:.0%}" for k in order[:MOST_LABELS]]
    more = len(order) - len(named)
    return "; ".join(named) + (f" and {more} more" if more else "")


if __name__ == "__main__":
    run_command(main)
