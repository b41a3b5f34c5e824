"""The steps of `python -m m2bert.learn`: read songs, split them, train, score, write the model."""

import argparse
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from m2bert.base.devices import device_and_precision
from m2bert.base.errors import UserError, print_result, show_lines_at_once
from m2bert.base.files import try_lock, write_json
from m2bert.base.settings import SETTINGS_FILE, claim_folder
from m2bert.finetuning.run import MODEL_FOLDER
from m2bert.finetuning.task_file import ENDING, write_task
from m2bert.learning.arrays import checksum, write_parts
from m2bert.learning.baselines import baselines
from m2bert.learning.corrections import (
    classes_of,
    comparison,
    has_helped,
    predicted_without_note,
    predicted_without_song,
    trained_on,
)
from m2bert.learning.report import (
    RESULT,
    corrections_text,
    facts,
    facts_of_corrections,
    majority_accuracy,
    report_text,
    scores,
    write_report,
)
from m2bert.learning.songs import LabelledSong, own_task, read_corrections, read_notes, read_pieces
from m2bert.learning.splits import folds_of, parts_of, read_split, write_split
from m2bert.learning.tables import read_columns
from m2bert.learning.train import train
from m2bert.model.classifiers import load_classifier, task_in
from m2bert.model.folder import ENCODER, find_model, read_record, write_card
from m2bert.model.pretrained import checksum_of_weights, load_backbone
from m2bert.model.task_entries import task_entries
from m2bert.tasks import PADDING, Task

SPLIT, LOCK = "split.csv", ".learn.lock"

WORK = "work"
"""The folder within --out for what is needed until the model is finished."""


def learn(args: argparse.Namespace) -> None:
    """Do what the command asks for."""
    show_lines_at_once(escape=True)
    check_arguments(args)
    if args.start_from:
        continue_training(args)
        return
    task, songs = read_notes(args) if args.label else read_pieces(args)
    if args.prepare_only:
        prepare(task, songs, args)
        return
    parts = parts_of_songs(songs, args)
    check_parts(task, songs, parts)
    with own_folder(args.out, settings(task, songs, parts, args)):
        write_parts(task, songs, parts, args.out / WORK)
        learn_task(task, songs, parts, args)


def check_arguments(args: argparse.Namespace) -> None:
    """Raise `UserError` for what would otherwise be an error after all songs are read."""
    out = args.out.resolve()
    if folder := next((f for f in args.folders if f.resolve() in (out, *out.parents)), None):
        raise UserError(f"--out {args.out} is in {folder}, where songs are: choose another folder")
    if args.out.is_file():
        raise UserError(f"--out {args.out} is a file: name a folder")
    if not args.start_from:
        name = own_task(args, "note" if args.label else "piece", ("a", "b"), "--name").name
        load_backbone(args.ckpt or ENCODER)
    if args.split:
        read_columns(args.split)
    if not args.prepare_only:
        check_unused(args.out)
    elif (args.out / f"{name}{ENDING}").exists():
        raise UserError(f"{args.out} has the task {name!r} already: use another --name or --out")


def check_unused(out: Path) -> None:
    """Raise `UserError` if there is a model in `out`, or files of others."""
    if (out / RESULT).exists():
        raise UserError(f"{out} has a model already: remove it, or choose another --out")
    others = sorted(path.name for path in out.glob("*") if path.name[0] != ".")
    if others and not (out / SETTINGS_FILE).exists():
        raise UserError(f"{out} has other files, such as {others[0]}: choose another --out")


@contextmanager
def own_folder(out: Path, settings: dict) -> Iterator[None]:
    """Let only this command write to --out; at the end its `WORK` is removed. Raises `UserError` if
    it has a model already, or work begun with other settings."""
    check_unused(out)
    claim_folder(out, settings, "--out")
    lock = try_lock(out / LOCK)
    if lock is None:
        raise UserError(f"another command is writing to {out}: choose another --out")
    try:
        check_unused(out)  # another command may have finished since
        yield
    finally:
        lock.release()
    shutil.rmtree(out / WORK, ignore_errors=True)


def learn_task(
    task: Task, songs: Sequence[LabelledSong], parts: np.ndarray, args: argparse.Namespace
) -> None:
    """Train both models, and write the better one with its scores to --out."""
    device, precision = device_and_precision(args.cpu, args.precision)
    of_part = {
        name: [songs[n] for n in np.flatnonzero(parts == name).tolist()] for name in task.parts
    }
    sizes = {name: len(found) for name, found in of_part.items()}
    print("songs: " + ", ".join(f"{name} {size:,}" for name, size in sizes.items()))
    encoder, seed = args.ckpt or ENCODER, args.seed[0]
    trained = train(
        task, args.out / WORK, encoder, device, precision, args.epochs, args.balance, seed
    )
    best = max(trained, key=lambda kind: trained[kind]["valid_score"])
    folder = args.out / WORK / best / MODEL_FOLDER
    model, test = load_classifier(folder).to(device), of_part["test"]
    result = {
        "task": task_entries(task),
        "songs": sizes,
        "kept": best,
        "valid_scores": {kind: found["valid_score"] for kind, found in trained.items()},
        "seconds": {kind: found["seconds"] for kind, found in trained.items()},
        "majority_accuracy": majority_accuracy(of_part["train"], test),
        "test": scores(task, test, classes_of(model, test, precision)),
    }
    if args.baseline:
        found = baselines(load_backbone(encoder).model.to(device), of_part["train"], test, seed)
        result["baselines"] = {name: scores(task, test, labels) for name, labels in found.items()}
    record = read_record(folder) | {"learn": facts(result)}
    model.cpu().save_pretrained(args.out, record)
    write_card(args.out)
    write_split(args.out / SPLIT, [song.name for song in songs], parts)
    write_report(task, result, args.out)
    print_result(report_text(task, result, args.out))


def continue_training(args: argparse.Namespace) -> None:
    """Train a classifier of notes on a few songs, and write it to --out; the old one if labels held
    out of these songs are not predicted better (`has_helped`)."""
    start = args.start_from = find_model(args.start_from)
    task = task_in(start)
    if task.level != "note" or task.by_track or task.classes[0] != PADDING:
        raise UserError(f"{start} cannot be continued: only models of the notes of songs can")
    songs = read_corrections(args, task)
    device, precision = device_and_precision(args.cpu, args.precision)
    model = load_classifier(start).to(device)
    everything = np.full(len(songs), "train")
    with own_folder(args.out, settings(task, songs, everything, args)):
        inputs = (model, task, songs, precision, args.seed[0])
        before = classes_of(model, songs, precision)
        of_labels = comparison(songs, before, predicted_without_note(*inputs))
        of_songs = None
        if len({song.group for song in songs}) > 1:
            of_songs = comparison(songs, before, predicted_without_song(*inputs))
        result = {
            "task": task.name,
            "songs": len(songs),
            "labels_held_out": of_labels,
            "songs_held_out": of_songs,
            "helped": has_helped(of_labels),
        }
        new = trained_on(*inputs)
        kept = new if result["helped"] else model
        record = {"continued_with": result, "learn": {"scores": facts_of_corrections(result)}}
        kept.cpu().save_pretrained(args.out, read_record(start) | record)
        write_card(args.out)
        write_json(args.out / RESULT, result)
    print_result(corrections_text(result, start, args.out))


def parts_of_songs(songs: Sequence[LabelledSong], args: argparse.Namespace) -> np.ndarray:
    """The part of each song, by --split or at random."""
    if args.split:
        return read_split(args.split, [song.name for song in songs])
    return parts_of(*groups_and_labels(songs), args.seed[0])


def groups_and_labels(songs: Sequence[LabelledSong]) -> tuple[np.ndarray, np.ndarray]:
    """The group of each song and its class, by which a split is stratified; of notes there is
    none."""
    labels = [0 if song.labels.ndim else int(song.labels) for song in songs]
    return np.array([song.group for song in songs]), np.array(labels)


def check_parts(task: Task, songs: Sequence[LabelledSong], parts: np.ndarray) -> None:
    """Raise `UserError` if a part has no songs, or none of a class of pieces, or fewer than two
    labels of notes, are trained on; print other labels of notes that are not."""
    if empty := set(task.parts) - set(parts.tolist()):
        raise UserError(
            f"no songs are in the part {min(empty)} of the data: too few songs, or groups of "
            "songs that belong together, or --split has none"
        )
    train = [song for song, part in zip(songs, parts, strict=True) if task.folds or part == "train"]
    seen = {PADDING, *(task.classes[n] for song in train for n in np.unique(song.labels))}
    if unseen := [name for name in task.classes if name not in seen]:
        sentence = f"no song for training has the label {unseen[0]!r}: it occurs in too few songs"
        if task.level == "piece" or len(seen) < 3:  # padding and two classes
            raise UserError(f"{sentence}, or too few groups of songs that belong together")
        print(f"warning: {sentence}")


def prepare(task: Task, songs: Sequence[LabelledSong], args: argparse.Namespace) -> None:
    """Write the arrays and the file of the task, for `m2bert.finetune`."""
    if args.folds:
        fold = folds_of(*groups_and_labels(songs), args.folds, args.seed[0])
        parts = np.array(task.parts)[fold]
    else:
        parts = parts_of_songs(songs, args)
    check_parts(task, songs, parts)
    write_parts(task, songs, parts, args.out)
    write_split(args.out / f"{task.name}.split.csv", [song.name for song in songs], parts)
    path = write_task(task, args.out)  # last: without it the arrays are not a task
    print_result(
        f"written: {path} and arrays of {len(songs):,} songs\n"
        f"train: python -m m2bert.finetune --task {task.name} --data_root {args.out} --ckpt MODEL"
    )


def settings(
    task: Task, songs: Sequence[LabelledSong], parts: np.ndarray, args: argparse.Namespace
) -> dict:
    """What the model depends on."""
    return {
        "task": task.name,
        "classes": list(task.classes),
        "metric": task.metric,
        "songs": checksum(songs, parts),
        "start": checksum_of_weights(args.start_from or args.ckpt or ENCODER),
        "epochs": args.epochs,
        "balance": args.balance,
        "seed": args.seed[0],
        "baseline": args.baseline,
    }
