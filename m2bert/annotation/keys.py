"""Keys, decoded over the piece; enharmonically equivalent ones are one key."""

import numpy as np

from m2bert.annotation.decoding import most_probable_sequence
from m2bert.tasks import place_in_fifths


def most_probable_keys(
    probabilities: np.ndarray, classes: tuple[str, ...], change: float
) -> np.ndarray:
    """The most probable sequence of keys, (onsets, classes) -> (onsets,) int64; enharmonically
    equivalent keys are one (`joined_keys`)."""
    return most_probable_sequence(joined_keys(probabilities, classes), change)


def joined_keys(probabilities: np.ndarray, classes: tuple[str, ...]) -> np.ndarray:
    """Sum the probabilities of enharmonically equivalent keys under the name with the fewest
    accidentals, since notes of a MIDI file have no spelling; (n, classes) -> the same."""
    summed = np.zeros_like(probabilities)
    np.add.at(summed.T, usual_names(classes), probabilities.T)
    return summed


def usual_names(classes: tuple[str, ...]) -> np.ndarray:
    """For each class the enharmonically equivalent one with the shortest key signature (of six
    sharps and six flats: the flats), or the class itself; (classes,) int64."""
    known = {key: label for label, name in enumerate(classes) if (key := place_in_fifths(name))}
    usual = np.arange(len(classes))
    for (fifths, is_minor), label in known.items():
        signature = fifths - 3 * is_minor
        moved = (signature + 6) % 12 - 6 - signature  # to six flats ... five sharps
        usual[label] = known.get((fifths + moved, is_minor), label)
    return usual
