"""The scores of a task on its test songs, as text and as numbers."""

from collections.abc import Sequence
from dataclasses import replace
from operator import itemgetter
from pathlib import Path
from shlex import quote

import numpy as np
from scipy.stats import binomtest
from sklearn.metrics import accuracy_score, confusion_matrix, precision_recall_fscore_support

from m2bert.annotation.names import counted
from m2bert.base.files import replacing, write_json, write_text
from m2bert.base.pictures import save_figure
from m2bert.base.tables import Table, markdown_text, terminal_text
from m2bert.learning.songs import LabelledSong
from m2bert.scores.plots import confusion_figure
from m2bert.scores.table import number_column
from m2bert.tasks import Task

RESULT = "scores.json"

HELD_OUT = {
    "labels_held_out": "labels held out of these songs",
    "songs_held_out": "labels of songs held out",
}
"""What a classifier that is trained on a few songs is tested on."""

MOST_TITLES = 12
"""Classes whose names fit above the columns of a confusion matrix."""

RESAMPLES = 1000
"""Resamples of the test songs for a bootstrap interval."""

FEW_SONGS = 10
"""Fewer test songs are said to be few."""


def scores(
    task: Task, songs: Sequence[LabelledSong], predicted: Sequence[np.ndarray], seed: int = 0
) -> dict:
    """The scores of predictions for some songs; notes without a label do not count.

    predicted: of each song its class, () int64, or those of its notes, (notes,) int64.
    """
    true, found = _flat(songs, predicted)
    labels = np.unique(np.concatenate([*true, *found]))
    all_true, all_found = np.concatenate(true), np.concatenate(found)
    columns = precision_recall_fscore_support(all_true, all_found, labels=labels, zero_division=0.0)
    names = ("precision", "recall", "f1", "support")
    occurs = np.isin(labels, all_true)
    return {
        "songs": len(songs),
        "accuracy": accuracy_score(all_true, all_found),
        "accuracy_interval": _interval(true, found, seed),
        "macro_f1": float(columns[2][occurs].mean()),
        "classes": [
            {"name": task.classes[label], **dict(zip(names, map(float, row), strict=True))}
            for label, *row in zip(labels, *columns, strict=True)
        ],
        "confusion": confusion_matrix(all_true, all_found, labels=labels).tolist(),
    }


def majority_accuracy(train: Sequence[LabelledSong], test: Sequence[LabelledSong]) -> float:
    """The accuracy of always predicting the most frequent class of the training songs."""
    label = np.bincount(np.concatenate(_flat(train, [song.labels for song in train])[0])).argmax()
    true, found = _flat(test, [np.full(song.labels.shape, label) for song in test])
    return accuracy_score(np.concatenate(true), np.concatenate(found))


def _flat(
    songs: Sequence[LabelledSong], predicted: Sequence[np.ndarray]
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """True and predicted labels of each song, without notes that have none."""
    true, found = [], []
    for song, labels in zip(songs, predicted, strict=True):
        kept = song.labels > 0 if song.labels.ndim else np.newaxis
        true.append(song.labels[kept])
        found.append(labels[kept])
    return true, found


def _interval(true: list[np.ndarray], found: list[np.ndarray], seed: int) -> list[float]:
    """The 95 % interval of the accuracy: exact for songs of one label, else by a bootstrap over
    songs."""
    correct = np.array([(a == b).sum() for a, b in zip(true, found, strict=True)])
    counts = np.array([len(of_song) for of_song in true])
    if (counts == 1).all():
        return list(binomtest(int(correct.sum()), len(counts)).proportion_ci())
    drawn = np.random.default_rng(seed).integers(0, len(true), (RESAMPLES, len(true)))
    totals = np.maximum(counts[drawn].sum(1), 1)
    return np.quantile(correct[drawn].sum(1) / totals, [0.025, 0.975]).tolist()


def report_text(task: Task, result: dict, out: Path) -> str:
    """What is printed at the end; the confusion matrix of many classes is in the files alone."""
    names = [row["name"] for row in result["test"]["classes"]]
    tables = [scores_by_class(task, result)]
    if len(names) <= MOST_TITLES:
        tables.append(confusion_table(names, result["test"]["confusion"]))
    written = f"written: the model, report.md, scores.json, confusion.png and split.csv in {out}"
    texts = [terminal_text(table) for table in tables]
    return "\n".join([*texts, *summary_lines(result), written, _use(out)])


def write_report(task: Task, result: dict, folder: Path) -> None:
    """Write the scores as numbers (scores.json), for people (report.md), and the confusion matrix
    as a picture."""
    test = result["test"]
    names = [row["name"] for row in test["classes"]]
    figure = confusion_figure(task, names, np.array(test["confusion"]))
    with replacing(folder / "confusion.png") as temporary:
        save_figure(figure, temporary)
    classes = replace(scores_by_class(task, result), notes=summary_lines(result))
    tables = [classes, confusion_table(names, test["confusion"])]
    write_text(folder / "report.md", "\n".join(map(markdown_text, tables)))
    write_json(folder / RESULT, result)


def summary_lines(result: dict) -> list[str]:
    """The scores in words."""
    test, valid = result["test"], result["valid_scores"]
    low, high = test["accuracy_interval"]
    interval = f" (95 % interval {low:.3f} to {high:.3f})" if test["songs"] > 1 else ""
    compared = ", ".join(f"{kind} {score:.3f}" for kind, score in valid.items())
    lines = [
        f"in validation: {compared}; kept: {result['kept']}",
        f"on {counted(test['songs'], 'test song')}: accuracy {test['accuracy']:.3f}{interval}, "
        f"macro F1 {test['macro_f1']:.3f}",
        f"majority class: accuracy {result['majority_accuracy']:.3f}",
    ]
    if test["songs"] < FEW_SONGS:
        lines.append("so few test songs say little about other songs")
    for name, found in result.get("baselines", {}).items():
        scores = f"accuracy {found['accuracy']:.3f}, macro F1 {found['macro_f1']:.3f}"
        lines.append(f"logistic regression on {name}: {scores}")
    return lines


def facts(result: dict) -> dict:
    """Split sizes and scores for the card of the model, by their titles."""
    test = result["test"]
    interval = " to ".join(f"{end:.3f}" for end in test["accuracy_interval"])
    return {
        "songs": result["songs"],
        "scores": {
            "accuracy, test songs": round(test["accuracy"], 3),
            "95 % interval of the accuracy": interval,
            "macro F1, test songs": round(test["macro_f1"], 3),
            "always predicting the majority class, test songs": round(
                result["majority_accuracy"], 3
            ),
        },
    }


def scores_by_class(task: Task, result: dict) -> Table:
    """A row for each class."""
    unit = "songs" if task.level == "piece" else "notes"
    return Table(
        heading=f"Classes of {task.title}, test songs",
        columns=[
            ("class", itemgetter("name")),
            number_column("precision", "precision"),
            number_column("recall", "recall"),
            number_column("F1", "f1"),
            (unit, lambda row: f"{row['support']:,.0f}"),
        ],
        records=result["test"]["classes"],
        texts=1,
    )


def confusion_table(names: list[str], counts: list[list[int]]) -> Table:
    """A row for each true class, a column for each predicted one; many classes are numbered."""
    titles = names
    if len(names) > MOST_TITLES:
        titles = [str(number) for number in range(1, len(names) + 1)]
        names = [f"{number} {name}" for number, name in zip(titles, names, strict=True)]
    rows = [{"true": name, "counts": row} for name, row in zip(names, counts, strict=True)]
    columns = [
        (name, lambda row, place=place: f"{row['counts'][place]:,}")
        for place, name in enumerate(titles)
    ]
    heading = "Confusion matrix: true classes in rows, predicted ones in columns"
    return Table(heading, [("", itemgetter("true")), *columns], rows, texts=1)


def _use(out: Path) -> str:
    return f"label a song with it: python -m m2bert.annotate song.mid --model {quote(str(out))}"


def corrections_text(result: dict, start: Path, out: Path) -> str:
    """What is printed after training a classifier on a few songs."""
    lines = []
    for key, where in HELD_OUT.items():
        if found := result[key]:
            lines.append(
                f"{where}: correct before: {found['right_before']:,} of "
                f"{found['labelled_notes']:,}, after: {found['right_after']:,} of "
                f"{found['labelled_notes']:,}; {found['other_notes_changed']:,} of "
                f"{found['other_notes']:,} other notes changed"
            )
    if result["helped"]:
        lines.append("the corrections help: the model is saved")
    else:
        lines.append(
            f"the new model is not better by this measure, so {out} is a copy of {start}: correct "
            "more notes, spread over each song"
        )
    return "\n".join([*lines, f"written: the model and scores.json in {out}", _use(out)])


def facts_of_corrections(result: dict) -> dict:
    """Scores for the card of the model, by their titles."""
    return {
        f"{where}, correct before and after": f"{found['right_before']:,} and "
        f"{found['right_after']:,} of {found['labelled_notes']:,}"
        for key, where in HELD_OUT.items()
        if (found := result[key])
    }
