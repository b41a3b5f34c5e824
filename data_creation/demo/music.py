"""Composes small 4/4 pieces for piano: melody, bridge and accompaniment over chord progressions.

A piece is a form (A A B A ...) of sections of four bars; a bar has a chord, a rhythm and a contour.
The labels of a note follow from the plan of its bar.
"""

import re
from dataclasses import dataclass, replace

import numpy as np

from data_creation.demo.harmony import Chord, Key, pitches, tone_name
from data_creation.demo.styles import Style
from m2bert.notes.cp import BEATS_PER_BAR
from m2bert.tasks import CHORD_ROOTS, LOCAL_KEYS

STEPS_PER_BEAT = 4  # a step is a 16th
STEPS_PER_BAR = BEATS_PER_BAR * STEPS_PER_BEAT

MELODY, BRIDGE, ACCOMPANIMENT = range(3)

# What a part does in a bar; its texture is the sum.
MELODIC, RHYTHMIC, HARMONIC = 4, 2, 1
RHYTHMIC_ONSETS = 6  # a part with so many onsets in a bar is rhythmic

# Velocity above that of the style, by part and step.
_PART_LEVEL = (14, 0, -10)
_STEP_LEVEL = (10, -6, -2, -6, 2, -6, -2, -6, 6, -6, -2, -6, 2, -6, -2, -6)
_REFRAIN_LEVEL = 10

_ANCHORS = (0, 2, 3, 0)  # the melody's height in the bars of a section, semitones
_LOWEST_BASS, _LOWEST_OF_HAND = 36, 52
_LONG = 6  # melody notes of so many steps are tones of the chord
_HELD = "-" * (STEPS_PER_BAR - 1)

_INTEGERS = ("pitch", "velocity", "part", "track", "bar", "step")
_LABELS = ("chord_root", "local_key", "is_motif", "texture")
NOTE = np.dtype(
    [("onset", float), ("offset", float), *((name, int) for name in _INTEGERS + _LABELS)]
)
"""`onset` and `offset` in beats; `track` of a file; `bar` from 0; `step` in the bar as written;
labels as in the tasks, that of the motif 0 or 1."""

Stroke = tuple[int, int, int]
"""A note in its bar: its first step, its steps, its pitch."""


@dataclass(frozen=True)
class Bar:
    """The plan of a bar.

    The melody has the notes of `rhythm`, so many degrees of the scale above the chord tone nearest
    to the pitch `anchor` as `contour` gives.
    """

    key: Key
    chord: Chord
    rhythm: str
    contour: list[int]
    anchor: int
    bass: str
    hand: str
    velocity: int
    is_motif: bool


def compose(rng: np.random.Generator, style: Style, form: str) -> tuple[Key, np.ndarray]:
    """Write a piece; returns its key and its notes, (notes,) of dtype `NOTE`.

    form: a letter for every four bars, A for the verse and B for the refrain.
    """
    # Few keys, so that several songs show each (D major and B minor have two sharps).
    key = Key(int(rng.integers(-2, 3)) + 3 * style.minor, style.minor)
    away = (key, key.relative(), Key(key.tonic + 1, key.minor))[rng.integers(3)]
    sections = {"A": _section(rng, style, key, True), "B": _section(rng, style, away, False)}
    bars = [bar for letter in form for bar in sections[letter]]
    held = replace(bars[-1], rhythm="x" + _HELD, bass="1" + _HELD, hand="C" + _HELD)
    bars[-1] = replace(held, chord=key.chord(1), contour=[0])
    rows = [row for number, bar in enumerate(bars) for row in _notes(number, bar)]
    notes = np.array(rows, NOTE)
    deviation = np.rint(rng.normal(0, 3, len(notes))).astype(int)
    notes["velocity"] = np.clip(notes["velocity"] + deviation, 8, 127)
    return key, notes


def _section(rng: np.random.Generator, style: Style, key: Key, is_verse: bool) -> list[Bar]:
    """Four bars: a verse states the motif in the first and third, a refrain has none."""
    degrees = style.progressions[rng.integers(len(style.progressions))]
    motif, answer, cadence = style.melody
    stated = motif if is_verse else answer
    contours = {rhythm: _contour(rng, rhythm) for rhythm in style.melody}
    velocity = style.velocity + (0 if is_verse else _REFRAIN_LEVEL)
    plan = zip(degrees, (stated, answer, stated, cadence), _ANCHORS, strict=True)
    return [
        Bar(
            key=key,
            chord=key.chord(int(degree)),
            rhythm=rhythm,
            contour=contours[rhythm],
            anchor=style.register + height,
            bass=style.bass,
            hand=style.hand,
            velocity=velocity,
            is_motif=rhythm == motif,
        )
        for degree, rhythm, height in plan
    ]


def _strokes(rhythm: str) -> list[tuple[int, int, str]]:
    """The notes of a rhythm as (first step, steps, symbol): `..C---` is `[(2, 4, "C")]`."""
    notes = re.finditer(r"[^.-]-*", rhythm)
    return [(note.start(), len(note.group()), note.group()[0]) for note in notes]


def _contour(rng: np.random.Generator, rhythm: str) -> list[int]:
    """A walk by steps and a few thirds, within a fifth of its start."""
    contour = [0]
    while len(contour) < len(_strokes(rhythm)):
        step = int(rng.choice((-2, -1, -1, 1, 1, 2)))
        contour.append(contour[-1] + (step if abs(contour[-1] + step) <= 4 else -step))
    return contour


def _notes(number: int, bar: Bar) -> list[tuple]:
    """The notes of a bar as rows of `NOTE`."""
    root = CHORD_ROOTS.index(tone_name(bar.chord.tones[0])) + 1
    local_key = LOCAL_KEYS.index(bar.key.name) + 1
    third = _nearest(pitches(bar.chord.tones[1:2]), bar.anchor - 9)
    bridge = [(0, STEPS_PER_BAR, third)]
    rows = []
    for part, its in enumerate((_melody(bar), bridge, _accompaniment(bar))):
        texture = MELODIC if part == MELODY else HARMONIC
        texture += RHYTHMIC * (len({step for step, _, _ in its}) >= RHYTHMIC_ONSETS)
        labels = (root, local_key, bar.is_motif and part == MELODY, texture)
        for step, steps, pitch in its:
            onset = BEATS_PER_BAR * number + step / STEPS_PER_BEAT
            velocity = bar.velocity + _PART_LEVEL[part] + _STEP_LEVEL[step]
            times = (onset, onset + steps / STEPS_PER_BEAT)
            rows.append((*times, pitch, velocity, part, part, number, step, *labels))
    return rows


def _melody(bar: Bar) -> list[Stroke]:
    """The contour on the scale, moved to chord tones on strong beats and in long notes."""
    ladder, chord_pitches = pitches(bar.chord.scale), pitches(bar.chord.tones)
    anchor = ladder.index(_nearest(chord_pitches, bar.anchor))
    notes = []
    for (step, steps, _), climb in zip(_strokes(bar.rhythm), bar.contour, strict=True):
        pitch = ladder[anchor + climb]
        if step % (STEPS_PER_BAR // 2) == 0 or steps >= _LONG:
            pitch = _nearest(chord_pitches, pitch)
        notes.append((step, steps, pitch))
    return notes


def _accompaniment(bar: Bar) -> list[Stroke]:
    """The bass from the root up, and the hand in the chord's close position."""
    bass = pitches(bar.chord.scale, pitches(bar.chord.tones[:1], _LOWEST_BASS)[0])
    chord = pitches(bar.chord.tones, _LOWEST_OF_HAND)[:3]
    notes = [(step, steps, bass[int(degree) - 1]) for step, steps, degree in _strokes(bar.bass)]
    for step, steps, symbol in _strokes(bar.hand):
        tones = chord if symbol == "C" else [chord[int(symbol) - 1]]
        notes += [(step, steps, pitch) for pitch in tones]
    return notes


def _nearest(options: list[int], target: int) -> int:
    return min(options, key=lambda pitch: abs(pitch - target))
