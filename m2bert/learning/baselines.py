"""Two baselines: logistic regressions on the frozen encoder's embeddings and on hand-crafted
features."""

from collections.abc import Iterable, Sequence

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from m2bert.learning.songs import LabelledSong
from m2bert.model.encoder import M2BertModel
from m2bert.model.vectors import embed_songs
from m2bert.notes.cp import BAR_NEW

MOST_NOTES = 50_000
"""At most this many notes are used to fit a regression."""

ITERATIONS = 1000


def baselines(
    encoder: M2BertModel, train: Sequence[LabelledSong], test: Sequence[LabelledSong], seed: int
) -> dict[str, list[np.ndarray]]:
    """The predictions of each baseline for the test songs, as `report.scores` reads them."""
    level = "note" if train[0].labels.ndim else "piece"
    found = {}
    for name, features in {
        "embeddings of the frozen encoder": lambda songs: embed_songs(
            encoder, [song.notes for song in songs], level
        ),
        "hand-crafted features": lambda songs: (STATISTICS[level](song.notes) for song in songs),
    }.items():
        model = _fitted(features(train), train, seed)
        predicted = [model.predict(of_song) for of_song in features(test)]
        found[name] = predicted if level == "note" else [labels[0] for labels in predicted]
    return found


def _fitted(features: Iterable[np.ndarray], songs: Sequence[LabelledSong], seed: int) -> Pipeline:
    """A regression fitted on at most `MOST_NOTES` labelled notes; other features are not kept."""
    of_songs = [np.atleast_1d(song.labels) for song in songs]
    labels = np.concatenate(of_songs)
    kept = np.flatnonzero(labels > 0) if songs[0].labels.ndim else np.arange(len(labels))
    is_kept = np.zeros(len(labels), bool)
    is_kept[np.random.default_rng(seed).permutation(kept)[:MOST_NOTES]] = True
    rows = np.split(is_kept, np.cumsum([len(of_song) for of_song in of_songs])[:-1])
    table = np.concatenate([of_song[its] for of_song, its in zip(features, rows, strict=True)])
    regression = LogisticRegression(max_iter=ITERATIONS)
    return make_pipeline(StandardScaler(), regression).fit(table, labels[is_kept])


def piece_statistics(notes: np.ndarray) -> np.ndarray:
    """Pitch-class histogram, notes per bar, mean length, and range of CP notes: (1, 18)."""
    pitch = notes[:, 2].astype(float)
    classes = np.bincount(notes[:, 2] % 12, minlength=12) / len(notes)
    per_bar = len(notes) / max((notes[:, 0] == BAR_NEW).sum(), 1)
    spread = [pitch.min(), pitch.max(), pitch.mean(), pitch.std()]
    return np.array([[*classes, per_bar, notes[:, 3].mean(), *spread]])


def note_statistics(notes: np.ndarray) -> np.ndarray:
    """Of each note, (notes, 32): pitch, pitch class, 16th of the bar, length, and its distances
    from the lowest and the highest note of the same onset."""
    bar = np.cumsum(notes[:, 0] == BAR_NEW)
    _, onset = np.unique(np.stack([bar, notes[:, 1]]), axis=1, return_inverse=True)
    pitch = notes[:, 2].astype(int)
    lowest, highest = np.full(onset.max() + 1, 127), np.zeros(onset.max() + 1, int)
    np.minimum.at(lowest, onset, pitch)
    np.maximum.at(highest, onset, pitch)
    return np.column_stack(
        [
            pitch,
            np.eye(12)[pitch % 12],
            np.eye(16)[notes[:, 1]],
            notes[:, 3],
            pitch - lowest[onset],
            highest[onset] - pitch,
        ]
    )


STATISTICS = {"piece": piece_statistics, "note": note_statistics}
"""The hand-crafted features of each level of tasks."""
