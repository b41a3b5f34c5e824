"""A MIDI file or score in, labels of its notes and the piece out (docs/METHOD.md, "Annotation").

    python -m m2bert.annotate song.mid
    python -m m2bert.annotate my_midi --out labels

applies the bundled models, or every fine-tuned model below `--model`, and writes the files of
`writers.WRITERS` into the folder `annotated`, for several songs into a folder of each.
"""

import argparse
import sys
from collections.abc import Callable, Iterable
from functools import cache, partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

from m2bert.annotation.ensemble import annotate_together
from m2bert.annotation.labels import KEY_CHANGE, Annotation
from m2bert.annotation.many import INDEX, ROWS, TABLE, annotate_many, song_names
from m2bert.annotation.models import best_model, find_models, needed_models
from m2bert.annotation.names import clock, counted
from m2bert.annotation.summary import summary
from m2bert.annotation.writers import WRITERS, writers_of
from m2bert.base.arguments import (
    OVERWRITE,
    PRECISION,
    PRECISIONS,
    checked,
    command_line,
    not_negative,
)
from m2bert.base.devices import device_and_precision, enough_memory, usual_batch_size
from m2bert.base.errors import print_result, run_command, show_lines_at_once
from m2bert.base.outputs import output_files, sha256
from m2bert.base.settings import SETTINGS_FILE, claim_folder
from m2bert.model.classifiers import Classifier, load_classifier
from m2bert.model.folder import BUNDLED_MODELS, WEIGHTS_FILE
from m2bert.model.transposition import TRANSPOSITIONS, check_transpositions
from m2bert.notes.file_search import collect_music_files
from m2bert.notes.reader import read_song
from m2bert.notes.song import Song
from m2bert.notes.windows import STRIDE, check_stride


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m m2bert.annotate",
        # the songs first: --tasks would take them for tasks
        usage="%(prog)s FILE_OR_FOLDER [FILE_OR_FOLDER ...] [flags]",
        description="Label the notes of songs, and the pieces, with fine-tuned models. For several "
        "songs, the same command keeps those that are finished.",
    )
    add = parser.add_argument
    what = "MIDI files, scores (.musicxml, .xml, .mxl, .krn, .mei; need partitura), or folders"
    add("songs", type=Path, nargs="+", metavar="FILE_OR_FOLDER", help=what)
    what = "folders of fine-tuned models, at any depth (default: the bundled models)"
    add("--model", type=Path, nargs="+", default=[BUNDLED_MODELS], metavar="FOLDER", help=what)
    what = (
        "tasks: chord roots, keys, melody, emotion, beats, downbeats, velocity, or those of your "
        "own models (default: all whose labels the file does not have)"
    )
    add("--tasks", nargs="+", metavar="NAME", help=what)
    what = "folder of the outputs (default: annotated)"
    add("--out", type=Path, default=Path("annotated"), help=what)
    endings = [ending[1:] for ending in WRITERS]
    what = f"outputs to write, of {' '.join(endings)} (default: all)"
    add("--formats", nargs="+", choices=endings, metavar="NAME", help=what)
    what = "if a task has several models: average all, or use the best in validation (default: all)"
    add("--which", choices=("all", "best"), default="all", help=what)
    what = "notes from the start of one window to that of the next (default: half a window)"
    add("--stride", type=checked(check_stride), help=what)
    what = "number of transpositions averaged for chord roots and keys; 1 disables averaging "
    what += f"(default: {TRANSPOSITIONS})"
    add("--transpositions", type=checked(check_transpositions), default=TRANSPOSITIONS, help=what)
    what = f"cost of a change of key; 0: the most probable at each onset (default: {KEY_CHANGE:g})"
    add("--key_change", type=not_negative, default=KEY_CHANGE, help=what)
    what = "also write markers of beats and downbeats to the MIDI file"
    add("--markers", choices=("beats",), help=what)
    what = "bars to draw, four per system, for print (default: the whole song on one line)"
    add("--bars", type=bar_range, metavar="FIRST-LAST", help=what)
    add("--precision", choices=PRECISIONS, help=PRECISION)
    add("--cpu", action="store_true", help="use the CPU even if there is a GPU")
    add("--overwrite", action="store_true", help=OVERWRITE)
    return parser.parse_args(command_line())


def bar_range(text: str) -> tuple[str, str]:
    """The numbers of the first and the last bar: "13-28" or "13"."""
    first, _, last = text.partition("-")
    if not first or (not last and "-" in text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a bar range such as 13-28")
    return first, last or first


def main() -> None:
    args = parse_arguments()
    show_lines_at_once(escape=True)
    args.models = find_models(args.model, args.tasks)
    if args.which == "best":
        args.models = {task: [best_model(folders)] for task, folders in args.models.items()}
    args.device, args.precision = device_and_precision(args.cpu, args.precision)
    if len(args.songs) > 1 or args.songs[0].is_dir():
        annotate_songs(args)
    else:
        annotate_one(args)


def annotate_one(args: argparse.Namespace) -> None:
    """Annotate one song and print its summary."""
    song = read_song(args.songs[0])
    models = needed_models(song, args.models, args.tasks)
    outputs = outputs_of(song, models, args)
    with output_files(args.out, outputs, args.overwrite) as temporary:
        (annotation,) = label([song], args, progress("tasks"))
        for name, write in outputs.items():
            write(annotation, temporary / name)
    tracks = counted(len(np.unique(song.notes.track)), "track")
    introduction = f"{song.path}: {counted(len(song), 'note')}, {tracks}, {clock(song)}"
    written = "\n  ".join(["written:", *(str(args.out / name) for name in outputs)])
    print_result(f"{introduction}\n{summary(annotation)}\n{written}")


def annotate_songs(args: argparse.Namespace) -> None:
    """Annotate several songs, each model read once, and print which were skipped."""
    songs = song_names(collect_music_files(args.songs), args.out)
    if args.overwrite and args.out.is_dir():  # annotate all again
        for name in (ROWS, SETTINGS_FILE):
            (args.out / name).unlink(missing_ok=True)
    claim_folder(args.out, settings_of(args), "--out, or --overwrite")
    load = cache(load_classifier)

    def write(annotation: Annotation, folder: Path) -> None:
        outputs = outputs_of(annotation.song, annotation.models, args)
        with output_files(folder, outputs, args.overwrite) as temporary:
            for name, write_file in outputs.items():
                write_file(annotation, temporary / name)

    outcome = annotate_many(
        songs,
        args.out,
        lambda songs: label(songs, args, iter, load),
        usual_batch_size(args.device) * STRIDE,
        write,
        progress("songs"),
    )
    for sentence in outcome.skipped:
        print(f"skipped: {sentence}", file=sys.stderr)
    counts = [
        f"{counted(outcome.annotated, 'song')} annotated",
        f"{outcome.kept} finished before" if outcome.kept else "",
        f"{len(outcome.skipped)} skipped",
        f"{outcome.with_warnings} with warnings" if outcome.with_warnings else "",
    ]
    print_result(f"{', '.join(filter(None, counts))}: {args.out / INDEX}, {args.out / TABLE}")


def label(
    songs: list[Song],
    args: argparse.Namespace,
    progress: Callable[[Iterable[str]], Iterable[str]],
    load: Callable[[Path], Classifier] = load_classifier,
) -> list[Annotation]:
    with enough_memory("--cpu computes on the CPU"):
        return annotate_together(
            [(song, needed_models(song, args.models, args.tasks)) for song in songs],
            args.device,
            args.stride,
            args.precision,
            progress,
            args.key_change,
            args.transpositions,
            load,
        )


def outputs_of(song: Song, tasks: Iterable[str], args: argparse.Namespace) -> dict[str, Callable]:
    """The functions that write the files of a song, by their names."""
    return writers_of(song, tasks, args.formats, bool(args.markers), args.bars)


def settings_of(args: argparse.Namespace) -> dict:
    """What the outputs of several songs depend on, besides the songs."""
    names = [
        "tasks",
        "formats",
        "stride",
        "transpositions",
        "key_change",
        "markers",
        "bars",
        "precision",
    ]
    weights = {t: [sha256(m / WEIGHTS_FILE) for m in found] for t, found in args.models.items()}
    return {"models": weights, **{name: getattr(args, name) for name in names}}


def progress(what: str) -> Callable[[Iterable[str]], Iterable[str]]:
    """A progress bar on a terminal."""
    style = {"disable": None, "leave": False, "ncols": 80}
    return partial(tqdm, desc=what, unit=f" {what}", **style)


if __name__ == "__main__":
    run_command(main, resumable=True)
