"""Whether music lies on a beat grid."""

import numpy as np

SIXTEENTH, TOLERANCE = 1 / 4, 1 / 50
"""The step of the grid, and how far from it an onset may be, in beats."""


LEAST_ON_GRID = 0.3
"""Music with a smaller fraction of onsets on the grid is off it (docs/annotate.md)."""


def fraction_on_files_grid(onset_beats: np.ndarray) -> float:
    """The fraction of onsets within 1/50 beat of a 16th of the file; else as `fraction_on_grid`."""
    place = np.unique(onset_beats) % SIXTEENTH
    return float((np.minimum(place, SIXTEENTH - place) <= TOLERANCE).mean())


def fraction_on_grid(onset_beats: np.ndarray) -> float:
    """The fraction of onsets within 1/50 beat of a 16th, of the grid shifted by the constant that
    fits most of them. About .2 where onsets ignore the beat, at least a third for triplets.

    onset_beats: in quarter notes, (notes,), at least one; simultaneous ones count once.
    """
    place = np.sort(np.unique(onset_beats) % SIXTEENTH)
    around = np.concatenate([place, place + SIXTEENTH])
    window = 2 * TOLERANCE + 1e-9  # rounding must not cut off its end
    ends = np.searchsorted(around, place + window, side="right")
    return float((ends - np.arange(len(place))).max() / len(place))
