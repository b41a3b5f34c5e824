"""What in a song is unlike the music that the models were trained on."""

from collections.abc import Collection

import numpy as np

from m2bert.annotation.names import counted
from m2bert.notes.cp import HIGHEST_PITCH, LOWEST_PITCH, ORDINARY_SIZES, SHORTEST_NOTE_BEATS
from m2bert.notes.drums import is_named_drums
from m2bert.notes.grid import fraction_on_grid
from m2bert.notes.skipped import in_words
from m2bert.notes.song import Song, Track, other_metres
from m2bert.tasks import TASKS

EMOTION_TASK, LEAST_PITCHED = "emotion", 50
"""The task whose labels say nothing of a piece with fewer pitched notes: clips of EMOPIA have more,
and its model is certain of drums alone and of three notes."""

GRID_TASKS = ("chordroot", "localkey", "melody", "velocity")
"""Tasks whose training data is aligned to beats; that of the others was performed freely."""

LEAST_ON_GRID = 0.3
"""Music with a smaller fraction of onsets on the grid is off it. Chosen on the 65
scores of ASAP, which have at least .33, POP909's 86 test songs, which have 1, and the 107 clips of
EMOPIA's test part, performances, of which 99 have less (median .23, at most .64)."""

POP_TASKS = ("melody", "velocity")
"""Tasks whose training data is POP909."""

POP_SOUNDING = (2.5, 5.0)
"""How many notes sound at once on average in music like POP909, whose 86 test songs have
2.8 to 4.6, and one of them 5.4."""

ORCHESTRAL_PROGRAMS = range(40, 80)
"""Strings, choirs, brass, reeds and pipes of General MIDI."""

LONGEST_BEATS = ORDINARY_SIZES[3] / 8
"""The longest duration that a token stands for: 64 32nd notes."""


def marks_of(song: Song) -> dict[str, np.ndarray]:
    """Which notes the models do not read, or read as something else: by name, (notes,) bool each.

    "drums": not read by models of notes; "short": under 1/16 beat, not read by models of pieces;
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
    """Sentences that tell a musician why some labels may be missing or wrong.

    marks: as `marks_of` gives them; tasks: those that have models.
    """
    drums, short, pitch, duration = (
        int(marks[name].sum()) for name in ("drums", "short", "pitch clipped", "duration clipped")
    )
    found = []
    if drums:
        found.append(
            f"{_notes_are(drums)} drums{_names([t for t in song.tracks if t.is_drum])}: they get "
            "no labels, as the models of notes were trained on pitched instruments alone"
        )
    doubtful = [track for track in song.tracks if not track.is_drum and is_named_drums(track.name)]
    if doubtful:
        found.append(
            f"notes{_names(doubtful)} were read as pitches, although the name means drums: the "
            "program is that of a pitched instrument, or the file would have nothing but drums; "
            "drums on channel 10 are always recognised"
        )
    if metres := other_metres(song.notes):
        found.append(
            f"time signature {', '.join(metres)}: the models assume bars of four quarter notes, so "
            "labels that depend on bars may be wrong"
        )
    if EMOTION_TASK in tasks and pitched_notes(song) < LEAST_PITCHED:
        there = counted(pitched_notes(song), "pitched note")
        found.append(
            f"no {TASKS[EMOTION_TASK].title}: {there}, at least {LEAST_PITCHED} are needed"
        )
    if off_grid := off_grid_warning(song, tasks):
        found.append(off_grid)
    if unlike_pop := unlike_pop_warning(song, tasks):
        found.append(unlike_pop)
    if pitch:
        found.append(
            f"{_notes_are(pitch)} below A#0 or above B7 and read at the nearest of these pitches"
        )
    if duration:
        beats = f"{LONGEST_BEATS:g} quarter notes"
        found.append(f"{_notes_are(duration)} longer than {beats} and read as that long")
    found += [f"{_notes_are(number)} {what}: omitted" for what, number in song.omitted.items()]
    if short:
        whole = "models of whole pieces"
        found.append(
            f"every note is shorter than a 64th note: {whole} read nothing"
            if short == len(song)
            else f"{_notes_are(short)} shorter than a 64th note: left out by {whole}"
        )
    if oddities := song.oddities:
        found.append(f"the file is odd, but was read as far as it goes: {in_words(oddities)}")
    if not song.tempos:
        found.append("the file has no tempo: seconds are computed at 120 quarter notes per minute")
    return found


def pitched_notes(song: Song) -> int:
    """The number of notes that are not drums."""
    return int((~song.is_drum).sum())


def off_grid_warning(song: Song, tasks: Collection[str]) -> str | None:
    """What to say of pitched notes off the beat grid where a task of `GRID_TASKS` reads them."""
    pitched = ~song.is_drum
    suffering = [TASKS[task].title for task in GRID_TASKS if task in tasks]
    if not suffering or not pitched.any():
        return None
    fraction = fraction_on_grid(song.beats(song.notes.start[pitched]))
    if fraction >= LEAST_ON_GRID:
        return None
    return (
        f"the notes ignore the beats of the file ({fraction:.0%} of the onsets are on 16ths): "
        f"{_listed(suffering)} may be wrong, as their models were trained on music on a beat grid"
    )


def unlike_pop_warning(song: Song, tasks: Collection[str]) -> str | None:
    """What to say of music unlike the pop arrangements of POP909 where a task of `POP_TASKS` reads
    it: in other time signatures, mostly for orchestral instruments or voices, or thinner or denser
    (`POP_SOUNDING`)."""
    notes, pitched = song.notes, ~song.is_drum
    suffering = [TASKS[task].title for task in POP_TASKS if task in tasks]
    if not suffering or not pitched.any():
        return None
    start, end, track = notes.start[pitched], notes.end[pitched], notes.track[pitched]
    orchestral = np.array([track.program in ORCHESTRAL_PROGRAMS for track in song.tracks])
    sounding = (end - start).sum() / max(end.max() - start.min(), 1)
    low, high = POP_SOUNDING
    reasons = [f"time signature {metre}" for metre in other_metres(notes)]
    if orchestral[track].mean() > 0.5:
        reasons.append("mostly strings, winds or voices")
    if not low <= sounding <= high:
        reasons.append(f"{sounding:.1f} notes at once on average, there about 4")
    if not reasons:
        return None
    return (
        f"unlike the pop arrangements that the models of {_listed(suffering)} were trained on "
        f"({'; '.join(reasons)}): their labels may be wrong"
    )


def _listed(words: list[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _names(tracks: list[Track]) -> str:
    """The names of some tracks in words, " (Kit, Perc)"; nothing where none has a name."""
    names = list(dict.fromkeys(track.name for track in tracks if track.name))
    return f" ({', '.join(names)})" if names else ""


def _notes_are(count: int) -> str:
    return f"{counted(count, 'note')} {'is' if count == 1 else 'are'}"
