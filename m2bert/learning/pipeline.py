"""The steps of `python -m m2bert.learn`: read songs, split them, train, score, write the model."""

import argparse
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from m2bert.base.devices import check_device, choose_device, choose_precision
from m2bert.base.errors import UserError, print_result, show_lines_at_once
from m2bert.base.files import try_lock
from m2bert.base.progress import show_progress
from m2bert.base.settings import claim_folder
from m2bert.finetuning.task_file import write_task
from m2bert.learning.arrays import checksum, write_parts
from m2bert.learning.baselines import baselines
from m2bert.learning.report import RESULT, majority_accuracy, report_text, scores, write_report
from m2bert.learning.songs import LabelledSong
from m2bert.learning.splits import folds_of, parts_of, read_split, write_split
from m2bert.learning.train import FINE_TUNING, PROBE, train
from m2bert.model.classifiers import Classifier, load_classifier
from m2bert.model.encoder import M2BertModel
from m2bert.model.folder import ENCODER, read_record, write_card
from m2bert.model.pretrained import checksum_of_weights, load_backbone
from m2bert.tasks import Task

WORK = "work"
"""The folder within --out for what is needed until the model is finished."""


def learn(args: argparse.Namespace) -> None:
    """Do what the command asks for."""
    show_lines_at_once(escape=True)
    task, songs = read(args)
    if args.prepare_only:
        prepare(task, songs, args)
        return
    parts = split(songs, args)
    counts = Counter(parts.tolist())
    print("songs: " + ", ".join(f"{part} {counts[part]:,}" for part in task.parts))
    claim_folder(args.out, settings(task, songs, parts, args), "--out")
    lock = try_lock(args.out / WORK / ".lock")
    if lock is None:
        raise UserError(f"another command is writing to {args.out}: choose another --out")
    try:
        if (args.out / RESULT).exists():
            raise UserError(f"{args.out} has this model already: remove it to train it again")
        learn_task(task, songs, parts, args)
    finally:
        lock.release()
    shutil.rmtree(args.out / WORK)


def learn_task(
    task: Task, songs: Sequence[LabelledSong], parts: np.ndarray, args: argparse.Namespace
) -> None:
    """Train both models, keep the better one, and write it with its scores."""
    device = choose_device(args.cpu)
    check_device(device)
    precision, encoder = choose_precision(args.precision, device), args.ckpt or ENCODER
    write_parts(task, songs, parts, args.out / WORK)
    trained = train(
        task,
        args.out / WORK,
        encoder,
        device,
        precision,
        args.epochs,
        args.balance,
        args.seed[0],
    )
    best = max((PROBE, FINE_TUNING), key=lambda kind: trained[kind].valid_score)
    model = load_classifier(trained[best].folder).to(device)
    of_part = {part: [s for s, its in zip(songs, parts, strict=True) if its == part] for part in task.parts}
    test = of_part["test"]
    result = {
        "task": task.name,
        "songs": {part: len(found) for part, found in of_part.items()},
        "kept": best,
        "valid_scores": {kind: found.valid_score for kind, found in trained.items()},
        "seconds": {kind: found.seconds for kind, found in trained.items()},
        "majority_accuracy": majority_accuracy(of_part["train"], test),
        "test": scores(task, test, classes_of(model, test, precision)),
    }
    if args.baseline:
        backbone = load_backbone(encoder)
        frozen = M2BertModel(backbone.config)
        frozen.load_state_dict(backbone.tensors)
        found = baselines(frozen.to(device), of_part["train"], test, args.seed[0])
        result["baselines"] = {name: scores(task, test, labels) for name, labels in found.items()}
    record = read_record(trained[best].folder)
    model.cpu().save_pretrained(args.out, record)
    write_card(args.out)
    write_split(args.out / "split.csv", [song.name for song in songs], parts)
    write_report(task, result, args.out)
    print_result(report_text(task, result, args.out))


def classes_of(
    model: Classifier, songs: Sequence[LabelledSong], precision: str
) -> list[np.ndarray]:
    """The most probable class of each song, or of each of its notes."""
    shown = show_progress(songs, "test songs", len(songs))
    return [model.probabilities(song.notes, precision=precision).argmax(-1) for song in shown]


def split(songs: Sequence[LabelledSong], args: argparse.Namespace) -> np.ndarray:
    """The part of each song, by --split or at random."""
    if args.split:
        return read_split(args.split, [song.name for song in songs])
    return parts_of(*groups_and_labels(songs), args.seed[0])


def groups_and_labels(songs: Sequence[LabelledSong]) -> tuple[np.ndarray, np.ndarray]:
    """The group of each song and its class, by which a split is stratified; of notes there is
    none."""
    labels = [0 if song.labels.ndim else int(song.labels) for song in songs]
    return np.array([song.group for song in songs]), np.array(labels)


def prepare(task: Task, songs: Sequence[LabelledSong], args: argparse.Namespace) -> None:
    """Write the arrays and the file of the task, for `m2bert.finetune`."""
    if args.folds:
        fold = folds_of(*groups_and_labels(songs), args.folds, args.seed[0])
        parts = np.array(task.parts)[fold]
    else:
        parts = split(songs, args)
    write_parts(task, songs, parts, args.out)
    path = write_task(task, args.out)
    write_split(args.out / f"{task.name}.split.csv", [song.name for song in songs], parts)
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
        "encoder": checksum_of_weights(args.ckpt or ENCODER),
        "epochs": args.epochs,
        "balance": args.balance,
        "seed": args.seed[0],
        "baseline": args.baseline,
    }
