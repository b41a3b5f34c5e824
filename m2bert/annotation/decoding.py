"""The most probable sequence of labels over the onsets of a piece."""

import numpy as np


def means_of_onsets(
    start: np.ndarray, probabilities: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """When notes begin, (notes,), and their probabilities, (notes, classes) -> the onsets,
    ascending, (onsets,); the index of each note's onset, (notes,) int64; and the mean probabilities
    of the notes of each onset, (onsets, classes) float64."""
    onsets, group = np.unique(start, return_inverse=True)
    mean = np.zeros((len(onsets), probabilities.shape[1]))
    np.add.at(mean, group, probabilities)
    return onsets, group, mean / np.bincount(group, minlength=len(onsets))[:, np.newaxis]


def most_probable_sequence(probabilities: np.ndarray, change: float) -> np.ndarray:
    """The most probable sequence of classes if each change costs `change` (a logarithm), by the
    Viterbi algorithm. (steps, classes) -> (steps,) int64."""
    logarithms = np.log(np.maximum(probabilities, 1e-9))
    came_from = np.tile(np.arange(logarithms.shape[1]), (len(logarithms), 1))
    score = np.zeros(logarithms.shape[1])
    for step, logarithm in enumerate(logarithms):
        best = score.argmax()
        changes = score < score[best] - change
        came_from[step, changes] = best
        score = np.maximum(score, score[best] - change) + logarithm
    label = np.empty(len(logarithms), np.int64)
    best = score.argmax()
    for step in range(len(logarithms) - 1, -1, -1):
        label[step], best = best, came_from[step, best]
    return label
