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
from m2bert.annotation.lab import write_beats_lab, write_chords_lab, write_keys_lab
from m2bert.annotation.labels import CHORD_TASK, KEY_CHANGE, KEY_TASK, VOICE_TASK
from m2bert.annotation.midi import write_marked_midi, write_voices_midi
from m2bert.annotation.models import best_model, find_models
from m2bert.annotation.names import clock, counted
from m2bert.annotation.page import write_page
from m2bert.annotation.picture import draw_annotation
from m2bert.annotation.summary import summary
from m2bert.annotation.tables import write_annotation_csv, write_annotation_json, write_chords_csv
from m2bert.base.arguments import OVERWRITE, PRECISIONS, checked, command_line, not_negative
from m2bert.base.devices import check_device, choose_device, choose_precision, enough_memory
from m2bert.base.errors import print_result, run_command, show_lines_at_once
from m2bert.base.outputs import output_files
from m2bert.model.folder import SHIPPED_MODELS
from m2bert.model.transposition import OCTAVE, check_transpositions
from m2bert.notes.reader import read_song
from m2bert.notes.song import Song
from m2bert.notes.windows import check_stride

WRITERS: dict[str, Callable[..., object]] = {
    ".csv": write_annotation_csv,
    ".json": write_annotation_json,
    ".chords.csv": write_chords_csv,
    ".beats.lab": write_beats_lab,
    ".chords.lab": write_chords_lab,
    ".keys.lab": write_keys_lab,
    ".annotated.mid": write_marked_midi,
    ".parts.mid": write_voices_midi,
    ".png": draw_annotation,
    ".html": write_page,
}
"""Functions of an annotation and a path that write its files, by the endings of their names."""

NEEDED_TASKS = {
    ".chords.csv": CHORD_TASK,
    ".chords.lab": CHORD_TASK,
    ".keys.lab": KEY_TASK,
    ".parts.mid": VOICE_TASK,
}
"""The task without which a file is not written."""

VELOCITY_TASK = "velocity"


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
        help="a MIDI file, or a score (.musicxml, .xml, .mxl, .krn, .mei; needs partitura)",
    )
    what = "folders of fine-tuned models, at any depth (the bundled models)"
    add("--model", type=Path, nargs="+", default=[SHIPPED_MODELS], metavar="FOLDER", help=what)
    what = "tasks (all that have a model; velocity only if all notes of the file have the same one)"
    add("--tasks", nargs="+", metavar="NAME", help=what)
    add("--out", type=Path, default=Path("annotated"), help="folder of the outputs (annotated)")
    what = "if a task has several models: average them (all), or use the best in validation"
    add("--which", choices=("all", "best"), default="all", help=what)
    what = "notes from the start of one window to that of the next (half a window)"
    add("--stride", type=checked(check_stride), help=what)
    what = f"transpositions averaged for chord roots and keys; 1 is faster ({OCTAVE})"
    add("--transpositions", type=checked(check_transpositions), default=OCTAVE, help=what)
    what = f"cost of a change of key ({KEY_CHANGE:g}); 0: the most probable key at each onset"
    add("--key_change", type=not_negative, default=KEY_CHANGE, help=what)
    what = "also write markers of beats and downbeats to the MIDI file"
    add("--markers", choices=("beats",), help=what)
    what = "draw these bars of the song in systems of four, to be printed (all, in one line)"
    add("--bars", type=bar_range, metavar="FIRST-LAST", help=what)
    add("--precision", choices=PRECISIONS, help="(bf16 on a GPU that supports it, else fp32)")
    add("--cpu", action="store_true", help="use the CPU even if there is a GPU")
    add("--overwrite", action="store_true", help=OVERWRITE)
    return parser.parse_args(command_line())


def bar_range(text: str) -> tuple[str, str]:
    """The numbers of the first and the last bar: "13-28" or "13"."""
    first, _, last = text.partition("-")
    if not first or (not last and "-" in text):
        raise argparse.ArgumentTypeError(f"{text!r} are not two numbers of bars, such as 13-28")
    return first, last or first


def main() -> None:
    args = parse_arguments()
    show_lines_at_once(escape=True)
    models = find_models(args.model, args.tasks)
    if args.which == "best":
        models = {task: [best_model(folders)] for task, folders in models.items()}
    song = read_song(args.song)
    if args.tasks is None and has_velocities(song) and models.keys() != {VELOCITY_TASK}:
        models.pop(VELOCITY_TASK, None)
    settings = {
        ".annotated.mid": partial(write_marked_midi, beats=bool(args.markers)),
        ".png": partial(draw_annotation, bars=args.bars),
    }
    outputs = {
        f"{args.song.stem}{ending}": settings.get(ending, write)
        for ending, write in WRITERS.items()
        if NEEDED_TASKS.get(ending) in (None, *models)
    }
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


if __name__ == "__main__":
    run_command(main)
