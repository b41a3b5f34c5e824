"""Composes small 4/4 pieces for piano: melody, bridge and accompaniment over chord progressions.

A piece is planned from the top down, the way a songwriter might sketch it:

    style -> key, form (A A B A ...) -> bars (chord, rhythm, contour) -> strokes of the three parts

and the labels of a note follow from the plan.
"""

import re
from dataclasses import dataclass, replace

import numpy as np

from data_creation.demo.harmony import Chord, Key, pitches, tone_name
from data_creation.demo.styles import FIGURES, MELODIES, PROGRESSIONS, Style
from m2bert.notes.cp import BEATS_PER_BAR
from m2bert.tasks import CHORD_ROOTS, LOCAL_KEYS

STEPS_PER_BEAT = 4  # a step is a sixteenth
STEPS_PER_BAR = BEATS_PER_BAR * STEPS_PER_BEAT

MELODY, BRIDGE, ACCOMPANIMENT = range(3)

# What a part does in a bar; its texture is the sum.
MELODIC, RHYTHMIC, HARMONIC = 4, 2, 1
RHYTHMIC_ONSETS = 6  # so many onsets in a bar make a part rhythmic

# Dynamics, in MIDI velocity above or below the style's, by section, part and sixteenth.
_SECTION_LEVEL = {"i": -18, "A": 0, "B": 10}
_PART_LEVEL = (14, 0, -10)
_STEP_LEVEL = (10, -6, -2, -6, 2, -6, -2, -6, 6, -6, -2, -6, 2, -6, -2, -6)

_ANCHORS = (0, 2, 3, 0)  # the arch of a phrase: the melody's height in its bars, semitones
_LOWEST_BASS, _LOWEST_OF_HAND = 36, 52
_LONG = 6  # steps from which on a melody note is a tone of the chord
_HELD = "-" * (STEPS_PER_BAR - 1)  # after a symbol: for a whole bar

_INTEGERS = ("pitch", "velocity", "part", "track", "bar", "step")
_LABELS = ("chord_root", "local_key", "is_motif", "texture")
NOTE = np.dtype(
    [("onset", float), ("offset", float), *((name, int) for name in _INTEGERS + _LABELS)]
)
"""A note and what is known about it: `onset` and `offset` in beats; `track` of a file, and `bar`,
from 0; `step` in the bar, as written, in sixteenths; labels as in the tasks, the motif's 0 or 1."""


Stroke = tuple[int, int, int]
"""A note in its bar: its first step, its steps, its pitch."""


@dataclass(frozen=True)
class Bar:
    """The plan of a bar, from which its three parts are made.

    The melody has the notes of `rhythm`. It begins at the chord tone that is nearest to `anchor`, a
    MIDI pitch; `contour` gives for each note how many degrees of the scale it lies above (or below)
    that tone.
    """

    section: str
    key: Key
    chord: Chord
    rhythm: str
    contour: list[int]
    anchor: int
    figure: tuple[str, str]
    is_motif: bool = False


def compose(rng: np.random.Generator, style: Style, form: str) -> tuple[Key, np.ndarray]:
    """Write a piece in a style; returns its key and its notes, (notes,) of dtype `NOTE`.

    form: a letter for every phrase of four bars: i an introduction without melody, A verse,
    B refrain.
    """
    # Up to two sharps or flats, so that few songs show each key (D major and B minor: two sharps).
    key = Key(int(rng.integers(-2, 3)) + (3 if style.minor else 0), style.minor)
    verse = _section(rng, style, "A", key)
    away = (key, key.relative(), Key(key.tonic + 1, key.minor))[rng.integers(3)]
    sections = {
        "i": [replace(bar, section="i", is_motif=False) for bar in verse],
        "A": verse,
        "B": _section(rng, style, "B", away),
    }
    bars = [bar for letter in form for bar in sections[letter]]
    held = ("1" + _HELD, "C" + _HELD)
    bars[-1] = replace(bars[-1], chord=key.chord(1), rhythm="x" + _HELD, contour=[0], figure=held)
    notes = [note for number, bar in enumerate(bars) for note in _notes(rng, style, number, bar)]
    return key, np.array(notes, dtype=NOTE)


def strokes(rhythm: str) -> list[tuple[int, int, str]]:
    """The notes of a rhythm as (first step, steps, symbol): `..C---` is `[(2, 4, "C")]`."""
    notes = re.finditer(r"[^.-]-*", rhythm)
    return [(note.start(), len(note.group()), note.group()[0]) for note in notes]


def _section(rng: np.random.Generator, style: Style, letter: str, key: Key) -> list[Bar]:
    """Four bars: a verse states the motif in the first and third, a refrain has none."""
    degrees = PROGRESSIONS[style.progressions][rng.integers(3)]
    motif, answer, cadence = MELODIES[style.melody]
    stated = motif if letter == "A" else answer
    rhythms = (stated, answer, stated, cadence)
    contours = {rhythm: _contour(rng, rhythm) for rhythm in rhythms}
    return [
        Bar(
            section=letter,
            key=key,
            chord=key.chord(int(degree), seventh=style.progressions == "jazz"),
            rhythm=rhythms[i],
            contour=contours[rhythms[i]],
            anchor=style.register + _ANCHORS[i],
            figure=FIGURES[style.figure],
            is_motif=rhythms[i] == motif,
        )
        for i, degree in enumerate(degrees)
    ]


def _contour(rng: np.random.Generator, rhythm: str) -> list[int]:
    """A walk by steps, with now and then a leap of a third, within a fifth of its start."""
    contour = [0]
    while len(contour) < len(strokes(rhythm)):
        contour.append(contour[-1] + int(rng.choice((-2, -1, -1, 1, 1, 2))))
        if abs(contour[-1]) > 4:  # turn round where the walk would leave its range
            contour[-1] = 2 * contour[-2] - contour[-1]
    return contour


def _notes(rng: np.random.Generator, style: Style, number: int, bar: Bar) -> list[tuple]:
    """All notes of a bar, as rows of `NOTE`."""
    root = CHORD_ROOTS.index(tone_name(bar.chord.tones[0])) + 1
    local_key = LOCAL_KEYS.index(bar.key.name) + 1
    rows = []
    for part, (part_strokes, texture) in enumerate(_parts(bar)):
        level = style.velocity + _SECTION_LEVEL[bar.section] + _PART_LEVEL[part]
        if len({step for step, _, _ in part_strokes}) >= RHYTHMIC_ONSETS:
            texture += RHYTHMIC
        for step, steps, pitch in part_strokes:
            onset = BEATS_PER_BAR * number + step / STEPS_PER_BEAT
            velocity = np.clip(round(level + _STEP_LEVEL[step] + rng.normal(0, 3)), 8, 127)
            times = (onset, onset + steps / STEPS_PER_BEAT)
            known = (root, local_key, bar.is_motif and part == MELODY, texture)
            rows.append((*times, pitch, velocity, part, part, number, step, *known))
    return rows


def _parts(bar: Bar) -> list[tuple[list[Stroke], int]]:
    """The strokes of melody, bridge and accompaniment, and what each does but for rhythm."""
    melody = _melody(bar)
    if bar.section == "B":  # the melody once more, a third lower
        ladder = pitches(bar.chord.scale)
        bridge = [(step, steps, ladder[ladder.index(p) - 2]) for step, steps, p in melody]
    else:  # a counter line below the melody, the thirds of the chords
        bridge = [(0, STEPS_PER_BAR, _nearest(pitches(bar.chord.tones[1:2]), bar.anchor - 9))]
    return [
        ([] if bar.section == "i" else melody, MELODIC),
        (bridge, MELODIC + HARMONIC if bar.section == "B" else HARMONIC),
        (_accompaniment(bar), HARMONIC),
    ]


def _melody(bar: Bar) -> list[Stroke]:
    """The contour on the scale, moved to chord tones on strong beats and in long notes."""
    ladder, chord_pitches = pitches(bar.chord.scale), pitches(bar.chord.tones)
    anchor = ladder.index(_nearest(chord_pitches, bar.anchor))
    notes = []
    for (step, steps, _), climb in zip(strokes(bar.rhythm), bar.contour, strict=True):
        pitch = ladder[anchor + climb]
        if step % (STEPS_PER_BAR // 2) == 0 or steps >= _LONG:
            pitch = _nearest(chord_pitches, pitch)
        notes.append((step, steps, pitch))
    return notes


def _accompaniment(bar: Bar) -> list[Stroke]:
    """The bar's figure: the bass from the root up, the hand in the chord's close position."""
    bass_line, hand_line = bar.figure
    root = pitches(bar.chord.tones[:1], lowest=_LOWEST_BASS)[0]
    bass = pitches(bar.chord.scale, lowest=root)
    hand = pitches(bar.chord.tones, lowest=_LOWEST_OF_HAND)
    notes = [(step, steps, bass[int(degree) - 1]) for step, steps, degree in strokes(bass_line)]
    for step, steps, symbol in strokes(hand_line):
        tones = hand[: len(bar.chord.tones)] if symbol == "C" else [hand[int(symbol) - 1]]
        notes += [(step, steps, pitch) for pitch in tones]
    return notes


def _nearest(options: list[int], target: int) -> int:
    return min(options, key=lambda pitch: abs(pitch - target))
