"""Differences between a song and the music that the models were trained on."""

from collections.abc import Collection

import numpy as np

from m2bert.annotation.meter import has_written_bars
from m2bert.annotation.names import counted
from m2bert.notes.cp import HIGHEST_PITCH, LOWEST_PITCH, ORDINARY_SIZES, SHORTEST_NOTE_BEATS
from m2bert.notes.drums import is_named_drums
from m2bert.notes.grid import LEAST_ON_GRID, fraction_on_grid
from m2bert.notes.skipped import in_words
from m2bert.notes.song import Song, Track, other_meters
from m2bert.tasks import TASKS

LEAST_PITCHED = 50
"""Emotion is not predicted for fewer pitched notes: clips of EMOPIA have more, and the model is
certain of drums alone and of three notes."""

GRID_TASKS = ("chordroot", "localkey", "melody", "velocity")
"""Tasks whose training data is aligned to beats; the others have performances."""

POP_TASKS = ("melody", "velocity")
"""Tasks whose training data is POP909."""

POP_SOUNDING = (2.5, 5.0)
"""The least and the greatest average number of simultaneous notes in music like POP909."""

OVERLAP, MOST_OVERLAPS = 0.5, 0.02
"""In a single line a note lasts at most for this fraction of the next one's duration after its
onset, with at most this fraction of exceptions."""

ORCHESTRAL_PROGRAMS = range(40, 80)
"""Strings, choirs, brass, reeds and pipes of General MIDI."""

FEW_MARKED = 0.02
"""Up to this fraction of the notes may be clipped or skipped without a warning."""

LONGEST_BEATS = ORDINARY_SIZES[3] / 8
"""The longest duration that a token stands for: 64 32nd notes."""


def marks_of(song: Song) -> dict[str, np.ndarray]:
    """Which notes the models skip or read as something else: by name, (notes,) bool each.

    "drums": skipped by note-level models; "short": under 1/16 beat, skipped by piece-level ones;
    "pitch clipped", "duration clipped": read as the nearest pitch or duration of the vocabulary.
    """
    notes = song.notes
    beats = song.beats(notes.end - notes.start)
    return {
        "drums": song.is_drum,
        "short": beats < SHORTEST_NOTE_BEATS,
        "pitch clipped": (notes.pitch < LOWEST_PITCH) | (notes.pitch > HIGHEST_PITCH),
        "duration clipped": beats > LONGEST_BEATS,
    }


def warnings_of(song: Song, marks: dict[str, np.ndarray], tasks: Collection[str] = ()) -> list[str]:
    """Reasons, as sentences, why some labels may be missing or wrong.

    marks: as `marks_of` gives them; tasks: those that have models.
    """
    drums, short, pitch, duration = (
        int(marks[name].sum()) for name in ("drums", "short", "pitch clipped", "duration clipped")
    )
    pitched, few = len(song) - drums, FEW_MARKED * len(song)
    doubtful = [track for track in song.tracks if not track.is_drum and is_named_drums(track.name)]
    found = []
    if drums:
        found.append(
            f"{_notes_are(drums)} drums{_names([t for t in song.tracks if t.is_drum])}: they get "
            "no labels, since note-level models were trained only on pitched instruments"
        )
    if doubtful:
        found.append(
            f"notes{_names(doubtful)} were read as pitches, although the name means drums: the "
            "program is that of a pitched instrument, or the file would have nothing but drums; "
            "drums on channel 10 are always recognised"
        )
    if has_written_bars(song) and (meters := other_meters(song.notes)):
        found.append(
            f"time signature {', '.join(meters)}: the models assume bars of four quarter notes, so "
            "labels that depend on bars may be wrong"
        )
    if "emotion" in tasks and pitched < LEAST_PITCHED:
        available = counted(pitched, "pitched note")
        found.append(f"no emotion: {available}, at least {LEAST_PITCHED} are needed")
    if "chordroot" in tasks and is_single_line(song):
        found.append("only one note sounds at a time: chords of a single line are guesses")
    if pitched:
        found += [*_off_grid(song, tasks), *_unlike_pop(song, tasks)]
    if pitch > few:
        found.append(
            f"{_notes_are(pitch)} below A#0 or above B7 and read at the nearest of these pitches"
        )
    if duration > few:
        beats = f"{LONGEST_BEATS:g} quarter notes"
        found.append(f"{_notes_are(duration)} longer than {beats} and read as that long")
    found += [f"{_notes_are(number)} {what}: omitted" for what, number in song.omitted.items()]
    if short == len(song):
        found.append("every note is shorter than a 64th note: piece-level models read nothing")
    elif short > few:
        found.append(f"{_notes_are(short)} shorter than a 64th note: skipped by piece-level models")
    if defects := song.defects:
        found.append(f"the file is malformed and was repaired: {in_words(defects)}")
    if not song.tempos:
        found.append("the file has no tempo: seconds are computed at 120 quarter notes per minute")
    return found


def is_single_line(song: Song) -> bool:
    """Whether hardly any pitched note begins while another one sounds (`OVERLAP`)."""
    notes, pitched = song.notes, ~song.is_drum
    order = np.argsort(notes.start[pitched], kind="stable")
    start, end = notes.start[pitched][order], notes.end[pitched][order]
    sounding_until = np.maximum.accumulate(end)[:-1]
    overlaps = sounding_until > start[1:] + OVERLAP * (end - start)[1:]
    return overlaps.sum() < MOST_OVERLAPS * len(start)


def _off_grid(song: Song, tasks: Collection[str]) -> list[str]:
    """The warning for pitched notes off the beat grid, if a task of `GRID_TASKS` reads them."""
    affected = _titles(GRID_TASKS, tasks)
    fraction = fraction_on_grid(song.beats(song.notes.start[~song.is_drum]))
    if not affected or fraction >= LEAST_ON_GRID:
        return []
    return [
        f"the notes ignore the beats of the file ({fraction:.0%} of the onsets are on 16ths): "
        f"{affected} may be wrong, as their models were trained on music on a beat grid"
    ]


def _unlike_pop(song: Song, tasks: Collection[str]) -> list[str]:
    """The warning for music unlike POP909's pop arrangements, if a task of `POP_TASKS` reads it:
    mostly for orchestral instruments or voices, or thinner or denser (`POP_SOUNDING`)."""
    notes, pitched = song.notes, ~song.is_drum
    affected = _titles(POP_TASKS, tasks)
    start, end, track = notes.start[pitched], notes.end[pitched], notes.track[pitched]
    orchestral = np.array([track.program in ORCHESTRAL_PROGRAMS for track in song.tracks])
    sounding = (end - start).sum() / max(end.max() - start.min(), 1)
    low, high = POP_SOUNDING
    reasons = []
    if orchestral[track].mean() > 0.5:
        reasons.append("mostly strings, winds or voices")
    if not low <= sounding <= high:
        reasons.append(f"{sounding:.1f} simultaneous notes on average, about 4 in POP909")
    if not affected or not reasons:
        return []
    return [
        f"this music is unlike the pop arrangements that the models of {affected} were trained on "
        f"({'; '.join(reasons)}), so their labels may be wrong"
    ]


def _titles(names: Collection[str], tasks: Collection[str]) -> str:
    """The titles of those of `names` that are in `tasks`, as an enumeration."""
    titles = [TASKS[name].title for name in names if name in tasks]
    return " and ".join([", ".join(titles[:-1]), titles[-1]] if len(titles) > 1 else titles)


def _names(tracks: list[Track]) -> str:
    """The names of some tracks in words, " (Kit, Perc)"; nothing where none has a name."""
    names = list(dict.fromkeys(track.name for track in tracks if track.name))
    return f" ({', '.join(names)})" if names else ""


def _notes_are(number: int) -> str:
    return f"{counted(number, 'note')} {'is' if number == 1 else 'are'}"
