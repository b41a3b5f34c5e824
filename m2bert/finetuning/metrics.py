"""The benchmark's scores (docs/METHOD.md, "Scores").

Pure functions on the tensors of a set. A score takes

    notes        (segments, notes, 4), any integer dtype
    labels       (segments, notes), or (segments,) for piece tasks
    predictions  as labels: the predicted classes
    batch_size   segments that are scored together, in file order (of `grid_accuracy` alone)

and returns a float64 scalar tensor, NaN where there is nothing to count. All published scores are
ratios of two sums over segments. Their terms, (segments, 2) int64, give the score of any selection
of segments.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from m2bert.notes.cp import BAR_NEW, POSITIONS_PER_BAR, real_notes

Score = Callable[[Tensor, Tensor, Tensor, int], Tensor]
Terms = Callable[[Tensor, Tensor, Tensor, int], Tensor]
"""As a score, but returns the numerator and denominator of each segment."""
Counted = Callable[[Tensor, Tensor], Tensor]
"""From notes and labels, which of them a score counts: bool, shaped as the labels."""


def all_notes(notes: Tensor, labels: Tensor) -> Tensor:
    return real_notes(notes)


def labelled_notes(notes: Tensor, labels: Tensor) -> Tensor:
    return real_notes(notes) & (labels > 0)


def labelled_bar_starts(notes: Tensor, labels: Tensor) -> Tensor:
    return (notes[..., 0] == BAR_NEW) & (labels > 0)


def all_segments(notes: Tensor, labels: Tensor) -> Tensor:
    return torch.ones_like(labels, dtype=torch.bool)


def labelled(notes: Tensor, labels: Tensor) -> Tensor:
    """The notes that have a label, or all segments of a piece task."""
    return (all_segments if labels.ndim == 1 else labelled_notes)(notes, labels)


def ratio(terms: Terms) -> Score:
    """The score with these terms."""

    def score(*of_set: Any) -> Tensor:
        numerator, denominator = terms(*of_set).sum(0).double()
        return numerator / denominator

    return score


def accuracy_terms(counted: Counted) -> Terms:
    """Of the fraction of correct labels among those that `counted` marks."""

    def terms(notes: Tensor, labels: Tensor, predictions: Tensor, batch_size: int) -> Tensor:
        marked = counted(notes, labels)
        return _sums((labels == predictions) & marked, marked)

    return terms


def f1_terms(notes: Tensor, labels: Tensor, predictions: Tensor, batch_size: int) -> Tensor:
    """Of the F1 of class 2 against class 1. As in the original, notes that are predicted as another
    class, such as padding, are not counted."""
    counted = real_notes(notes)
    for classes in (labels, predictions):
        counted = counted & ((classes == 1) | (classes == 2))
    true, predicted = counted & (labels == 2), counted & (predictions == 2)
    return _sums(2 * (true & predicted), true.long() + predicted.long())


def f1(*of_set: Any) -> Tensor:
    """0 where there is nothing to count, as in the original."""
    return ratio(f1_terms)(*of_set).nan_to_num()


def macro_f1(notes: Tensor, labels: Tensor, predictions: Tensor, batch_size: int) -> Tensor:
    """Mean F1 of the classes that occur among the labels. The prediction "no label" is wrong."""
    marked = labelled(notes, labels)
    true, predicted = labels[marked].long(), predictions[marked].long()
    size = 1 + max(int(labels.max()), int(predictions.max()))
    occurring, guessed, hits = (
        torch.bincount(classes, minlength=size).double()
        for classes in (true, predicted, true[true == predicted])
    )
    return (2 * hits / (occurring + guessed))[occurring > 0].mean()


def grid_terms(notes: Tensor, labels: Tensor, predictions: Tensor, batch_size: int) -> Tensor:
    """Of the fraction of correct 16th slots; a note's label fills the slots up to the next note.

    As published, the last note of a segment fills the slots up to the end of the *longest* segment
    of its batch, so the score depends on how segments are batched.
    """
    batch = torch.arange(len(notes), device=notes.device) // batch_size

    def longest_of_batch(bars: Tensor) -> Tensor:
        return torch.zeros_like(bars).scatter_reduce_(0, batch, bars, "amax")[batch]

    return _grid_terms(notes, labels, predictions, longest_of_batch)


def clean_grid_terms(notes: Tensor, labels: Tensor, predictions: Tensor, batch_size: int) -> Tensor:
    """As `grid_terms`, but each segment's grid ends with the segment's own last bar."""
    return _grid_terms(notes, labels, predictions, lambda bars: bars)


def _grid_terms(
    notes: Tensor, labels: Tensor, predictions: Tensor, grid_bars: Callable[[Tensor], Tensor]
) -> Tensor:
    """Correct slots and all slots; those whose true label is 0 are not counted.

    grid_bars: from the bars of every segment, (segments,), how many its grid has.

    A note writes its label from its slot to the end of the grid, and later notes overwrite it. So
    it keeps the slots before the lowest one of all later notes, and no grid is needed.
    """
    real = real_notes(notes)
    opens = notes[..., 0] == BAR_NEW
    opens[:, 0] = True  # the first note of a segment always opens a bar
    number = opens.cumsum(1, dtype=torch.int32)
    bars = (number * real).amax(1)
    end = (POSITIONS_PER_BAR * grid_bars(bars))[:, None]
    slot = torch.where(real, POSITIONS_PER_BAR * (number - 1) + notes[..., 1], end)
    lowest_from_here = slot.flip(1).cummin(1).values.flip(1)
    next_slot = torch.cat([lowest_from_here[:, 1:], end], dim=1)
    kept = (next_slot - slot).clamp_(min=0) * (labels > 0)
    return _sums(kept * (labels == predictions), kept)


def _sums(numerators: Tensor, denominators: Tensor) -> Tensor:
    """Sums over the notes of each segment, (segments, 2) int64."""
    return torch.stack(
        [of.reshape(len(of), -1).sum(1, dtype=torch.int64) for of in (numerators, denominators)], 1
    )


@dataclass(frozen=True)
class Metric:
    """How a task is scored.

    Attributes:
        counted: the notes or segments of the confusion matrix; a set without any cannot be scored.
        score: the published score, of validation and test.
        terms: its terms, if it is a ratio of sums over segments.
        training_score: the score of the training set, if it differs.
        clean_score: the same score without a flaw of the published one.
    """

    counted: Counted
    score: Score
    terms: Terms | None = None
    training_score: Score | None = None
    clean_score: Score | None = None


def _accuracy(counted: Counted) -> Metric:
    terms = accuracy_terms(counted)
    return Metric(counted, ratio(terms), terms)


METRICS = {
    "note_accuracy": _accuracy(all_notes),
    "bar_start_accuracy": _accuracy(labelled_bar_starts),
    "piece_accuracy": _accuracy(all_segments),
    "labelled_accuracy": _accuracy(labelled_notes),
    "macro_f1": Metric(labelled, macro_f1),
    "f1": Metric(labelled_notes, f1, f1_terms),
    "grid_accuracy": Metric(
        labelled_notes,
        ratio(grid_terms),
        grid_terms,
        training_score=ratio(accuracy_terms(all_notes)),
        clean_score=ratio(clean_grid_terms),
    ),
}
"""All scores by the names that tasks refer to."""
