"""Compound-Word (CP) notes, by the rules of docs/METHOD.md, "Tokens".

A CP note is four ids, (Bar, Position, Pitch, Duration); a song is an array (notes, 4) uint8.
"""

from typing import Any

import numpy as np

FIELDS = ("Bar", "Position", "Pitch", "Duration")

# Ordinary ids from 0, then one for padding and one for masking.
ORDINARY_SIZES = (2, 16, 86, 64)
PAD = (2, 16, 86, 64)
MASK = (3, 17, 87, 65)
VOCABULARY_SIZES = (4, 18, 88, 66)

POSITIONS_PER_BAR, PITCHES = ORDINARY_SIZES[1], ORDINARY_SIZES[2]

BAR_NEW, BAR_CONTINUE = 0, 1
LOWEST_PITCH, HIGHEST_PITCH = 22, 107  # MIDI numbers; others are clipped

TICKS_PER_BEAT = 480
BEATS_PER_BAR = 4
TICKS_PER_BAR = BEATS_PER_BAR * TICKS_PER_BEAT
TICKS_PER_POSITION = TICKS_PER_BEAT // 4  # a 16th note
TICKS_PER_DURATION = TICKS_PER_BEAT // 8  # a 32nd note

VOCABULARY = {
    "fields": list(FIELDS),
    "ordinary_sizes": list(ORDINARY_SIZES),
    "pad": list(PAD),
    "mask": list(MASK),
    "lowest_pitch": LOWEST_PITCH,
    "highest_pitch": HIGHEST_PITCH,
    "beats_per_bar": BEATS_PER_BAR,
    "positions_per_bar": POSITIONS_PER_BAR,
    "durations_per_beat": TICKS_PER_BEAT // TICKS_PER_DURATION,
}
"""The vocabulary as the `config.json` of a model has it."""

# Shorter notes are errors of a transcription. The tolerance keeps 64ths that were rounded down.
SHORTEST_NOTE_BEATS = 1 / 16 - 0.0001


def real_notes(notes: Any) -> Any:
    """Mark the notes that are not padding: an array or tensor (..., 4) -> bool (...)."""
    return notes[..., 0] != PAD[0]


def cp_notes(
    start: np.ndarray, end: np.ndarray, pitch: np.ndarray, track: np.ndarray, ticks_per_beat: int
) -> np.ndarray:
    """Notes in ticks -> CP notes, (kept notes, 4) uint8, ordered by onset; can be empty.

    `start`, `end` (ticks), `pitch` (MIDI numbers) and `track` (index in file order) are integer
    arrays (notes,), in the file's order.
    """
    order = reading_order(start, end, pitch, track, ticks_per_beat)
    if len(order) == 0:
        return np.empty((0, 4), np.uint8)

    onset = rescale_ticks(start[order], ticks_per_beat)
    length = rescale_ticks(end[order], ticks_per_beat) - onset
    last_sixteenth = max(onset[-1] - 1, 0) // TICKS_PER_POSITION
    sixteenth = np.minimum(nearest_multiple(onset, TICKS_PER_POSITION), last_sixteenth)
    bar, position = np.divmod(sixteenth, POSITIONS_PER_BAR)

    notes = np.empty((len(onset), 4), np.uint8)
    notes[:, 0] = bar_ids(bar)
    notes[:, 1] = position
    notes[:, 2] = pitch_ids(pitch[order])
    notes[:, 3] = duration_ids(length)
    return notes


def order_by_onset(item: np.ndarray) -> np.ndarray:
    """The indices of an item's notes (`cp_notes_of_beats`) by (onset, clipped pitch), stable."""
    onset, pitch = item[:, 0], np.clip(item[:, 2], LOWEST_PITCH, HIGHEST_PITCH)
    rises, stays = onset[1:] > onset[:-1], onset[1:] == onset[:-1]
    if (rises | stays & (pitch[1:] >= pitch[:-1])).all():  # most items, and sorting is slow
        return np.arange(len(item))
    return np.lexsort((pitch, onset))


def cp_notes_of_beats(item: np.ndarray) -> np.ndarray:
    """Notes in their final order -> CP notes, (notes, 4) uint8, by the rule of tasks that label
    notes: none is dropped, and Position is the nearest 16th of the note's own bar.

    item: (notes, 3) float64, [onset, offset, pitch] rows with times in beats.
    """
    start, end = item[:, 0] * TICKS_PER_BEAT, item[:, 1] * TICKS_PER_BEAT
    bar = item[:, 0] // BEATS_PER_BAR
    sixteenth = nearest_multiple(start - bar * TICKS_PER_BAR, TICKS_PER_POSITION)
    notes = np.empty((len(item), 4), np.uint8)
    notes[:, 0] = bar_ids(bar)
    notes[:, 1] = np.minimum(sixteenth, POSITIONS_PER_BAR - 1)
    notes[:, 2] = pitch_ids(item[:, 2])
    notes[:, 3] = duration_ids(end - start)
    return notes


def reading_order(
    start: np.ndarray, end: np.ndarray, pitch: np.ndarray, track: np.ndarray, ticks_per_beat: int
) -> np.ndarray:
    """The index of each CP note in the file, int64; arguments as for `cp_notes`."""
    kept = np.flatnonzero((end - start) / ticks_per_beat >= SHORTEST_NOTE_BEATS)
    onset = rescale_ticks(start[kept], ticks_per_beat)
    return kept[np.lexsort((pitch[kept], start[kept], track[kept], onset))]


def rescale_ticks(ticks: np.ndarray, ticks_per_beat: int) -> np.ndarray:
    """Ticks of a file -> int64 ticks of 1/480 beat, truncated."""
    return (ticks * TICKS_PER_BEAT / ticks_per_beat).astype(np.int64)


def nearest_multiple(ticks: np.ndarray, step: int) -> np.ndarray:
    """k such that k * step is nearest to `ticks` (integers or floats); ties go to the lower k."""
    return -((step // 2 - ticks) // step)


def bar_ids(bar: np.ndarray) -> np.ndarray:
    """Bar numbers of notes in order -> Bar ids: New where the number changes, else Continue."""
    return np.where(np.diff(bar, prepend=bar[:1] - 1) != 0, BAR_NEW, BAR_CONTINUE)


def pitch_ids(pitch: np.ndarray) -> np.ndarray:
    """MIDI pitches -> Pitch ids, clipped to the vocabulary's range."""
    return np.clip(pitch, LOWEST_PITCH, HIGHEST_PITCH) - LOWEST_PITCH


def duration_ids(length: np.ndarray) -> np.ndarray:
    """Lengths in ticks of 1/480 beat -> Duration ids: the nearest of 1 to 64 32nd notes."""
    return np.clip(nearest_multiple(length, TICKS_PER_DURATION) - 1, 0, 63)
