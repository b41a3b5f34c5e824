"""The demo music, played: from beats as written to MIDI ticks, and MIDI files."""

import miditoolkit
import numpy as np

_TOUCH = 0.95  # fraction of a note's length that sounds when played by hand
_DEVIATION, _MOST_DEVIATION = 0.012, 0.04  # beats; 16ths stay apart and in order


def play(
    rng: np.random.Generator, notes: np.ndarray, ticks_per_beat: int, by_hand: bool
) -> np.ndarray:
    """The notes as a MIDI file has them, times in beats rounded to ticks, sorted by (track, onset,
    pitch).

    by_hand: whether times deviate a little from what is written, as in transcriptions. A note ends
    where its pitch begins again in its track; of equal ones only that of the first part is kept.
    """
    notes = notes[np.argsort(notes["part"], kind="stable")]
    _, first = np.unique(notes[["track", "pitch", "onset"]], return_index=True)
    notes = notes[first]
    if by_hand:
        deviation = rng.normal(0, _DEVIATION, (2, len(notes)))
        start, end = np.clip(deviation, -_MOST_DEVIATION, _MOST_DEVIATION)
        length = (notes["offset"] - notes["onset"]) * _TOUCH
        notes["onset"] = np.maximum(notes["onset"] + start, 0)
        notes["offset"] = notes["onset"] + length + end
    begins_again = (np.diff(notes["track"]) == 0) & (np.diff(notes["pitch"]) == 0)
    latest_end = np.append(np.where(begins_again, notes["onset"][1:], np.inf), np.inf)
    notes["offset"] = np.minimum(notes["offset"], latest_end)
    for column in ("onset", "offset"):
        notes[column] = np.rint(notes[column] * ticks_per_beat) / ticks_per_beat
    return notes[np.lexsort((notes["pitch"], notes["onset"], notes["track"]))]


def midi_file(
    notes: np.ndarray, ticks_per_beat: int, tracks: tuple[tuple[str, int], ...], tempo: int
) -> miditoolkit.MidiFile:
    """A file with played notes. tracks: the name and MIDI program of each."""
    midi = miditoolkit.MidiFile(ticks_per_beat=ticks_per_beat)
    midi.time_signature_changes = [miditoolkit.TimeSignature(4, 4, 0)]
    midi.tempo_changes = [miditoolkit.TempoChange(tempo, 0)]
    midi.instruments = [miditoolkit.Instrument(program, False, name) for name, program in tracks]
    ticks = [np.rint(notes[name] * ticks_per_beat).astype(int) for name in ("onset", "offset")]
    columns = (notes["track"], notes["velocity"], notes["pitch"], *ticks)
    for track, *note in zip(*(column.tolist() for column in columns), strict=True):
        midi.instruments[track].notes.append(miditoolkit.Note(*note))
    return midi
