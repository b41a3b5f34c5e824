"""What does it bring to decode keys over the whole piece, and what should a change of key cost?

python -m benchmarks.key_spans --smc_dir SMC

Labels AugmentedNet's validation and test pieces with the model of keys that comes with the code,
and prints for some costs of a change the accuracy on the clean 16th-note grid and the changes of
key a piece. Cost 0 is the most probable key of every onset; "raw" are the labels of single notes.
"""

import argparse
from pathlib import Path

import numpy as np
import torch

from data_creation.benchmark.items import cut_labels, cut_notes
from m2bert.annotation.labels import SMOOTHED_TASK, means_of_onsets, most_probable_keys
from m2bert.base.errors import run_command
from m2bert.finetuning.metrics import METRICS
from m2bert.model.classifiers import NoteClassifier
from m2bert.model.folder import SHIPPED_MODELS
from m2bert.notes.cp import cp_notes_of_beats, order_by_onset
from m2bert.notes.object_arrays import read_labels, read_note_lists
from m2bert.tasks import TASKS

COSTS = (0, 1, 2, 3, 4, 6, 8, 12, 16, 24)
TASK = TASKS[SMOOTHED_TASK]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--smc_dir", type=Path, required=True)
    parser.add_argument("--model", type=Path, default=SHIPPED_MODELS / SMOOTHED_TASK)
    args = parser.parse_args()
    model = NoteClassifier.from_pretrained(args.model)
    for part in ("valid", "test"):
        pieces = read_pieces(args.smc_dir / "downstream_note", part, model)
        print(f"{part}, {len(pieces)} pieces: cost, clean-grid accuracy, changes of key a piece")
        rows = {"raw": [raw for *_, raw in pieces], "truth": [truth for _, truth, *_ in pieces]}
        for cost in COSTS:
            rows[str(cost)] = [
                most_probable_keys(mean, TASK.classes, cost)[group]
                for _, _, group, mean, _ in pieces
            ]
        for name, labels in rows.items():
            changes = np.mean([np.count_nonzero(np.diff(of_piece)) for of_piece in labels])
            print(f"{name:>6}{clean_score(pieces, labels):9.4f}{changes:8.1f}")


def read_pieces(folder: Path, part: str, model: NoteClassifier) -> list[tuple]:
    """Of each piece: CP notes, true labels, the number of each note's onset, the means of the
    onsets' probabilities, and the most probable class of each note."""
    notes_file, labels_file = (folder / name for name in TASK.file_names(part))
    pieces = []
    both = zip(read_note_lists(notes_file), read_labels(labels_file), strict=True)
    for notes, labels in both:
        order = order_by_onset(notes)
        cp = cp_notes_of_beats(notes[order])
        probabilities = model.probabilities(cp, precision="fp32")
        _, group, mean = means_of_onsets(notes[order, 0], probabilities)
        pieces.append((cp, labels[order], group, mean, probabilities.argmax(1)))
    return pieces


def clean_score(pieces: list[tuple], predictions: list[np.ndarray]) -> float:
    length = TASK.segment_length
    notes = np.concatenate([cut_notes(cp, length) for cp, *_ in pieces])
    labels, found = (
        torch.from_numpy(np.concatenate([cut_labels(values, length) for values in of_pieces]))
        for of_pieces in ([truth for _, truth, *_ in pieces], predictions)
    )
    score = METRICS[TASK.metric].clean_score
    assert score is not None
    return score(torch.from_numpy(notes), labels, found, TASK.batch_size).item()


if __name__ == "__main__":
    run_command(main)
