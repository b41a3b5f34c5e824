"""Composes small 4/4 pieces for piano: melody, bridge and accompaniment over chord progressions.

A piece is a form (A A B A ...) of sections of four bars; a bar has a chord, a rhythm and a contour,
from which the labels of its notes follow.
"""

import re

import numpy as np

from data_creation.demo.harmony import Key, Triad, pitches, tone_name
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

_HEIGHTS = (0, 2, 3, 0)  # of the melody in the bars of a section, semitones
_LOWEST_BASS, _LOWEST_OF_HAND = 36, 52
_LONG = 6  # melody notes of so many steps are tones of the chord

_INTEGERS = ("pitch", "velocity", "part", "track", "bar", "step")
_LABELS = ("chord_root", "local_key", "is_motif", "texture")
NOTE = np.dtype(
    [("onset", float), ("offset", float), *((name, int) for name in _INTEGERS + _LABELS)]
)
"""`onset` and `offset` in beats; `track` of a file; `bar` from 0; `step` in the bar as written;
labels as in the tasks, that of the motif 0 or 1."""

Stroke = tuple[int, int, int]
"""A note in its bar: its first step, its steps, its pitch."""


def compose(rng: np.random.Generator, style: Style, form: str) -> tuple[Key, np.ndarray]:
    """Write a piece; returns its key and its notes, (notes,) of dtype `NOTE`.

    form: a letter for every four bars, A for the verse and B for the refrain.
    """
    # Few keys, so that several songs show each (D major and B minor have two sharps).
    key = Key(int(rng.integers(-2, 3)) + 3 * style.minor, style.minor)
    away = (key, key.relative(), Key(key.tonic + 1, key.minor))[rng.integers(3)]
    sections = {"A": _section(rng, style, key, True), "B": _section(rng, style, away, False)}
    notes = np.concatenate([sections[letter] for letter in form])
    bars = len(_HEIGHTS) * np.repeat(range(len(form)), [len(sections[letter]) for letter in form])
    for column, per_bar in (("onset", BEATS_PER_BAR), ("offset", BEATS_PER_BAR), ("bar", 1)):
        notes[column] += per_bar * bars
    deviation = np.rint(rng.normal(0, 3, len(notes))).astype(int)
    notes["velocity"] = np.clip(notes["velocity"] + deviation, 8, 127)
    return key, notes


def _section(rng: np.random.Generator, style: Style, key: Key, is_verse: bool) -> np.ndarray:
    """Four bars: a verse states the motif in the first and third, a refrain has none."""
    degrees = style.progressions[rng.integers(len(style.progressions))]
    motif, answer, cadence = style.melody
    stated = motif if is_verse else answer
    contours = {rhythm: _contour(rng, rhythm) for rhythm in style.melody}
    rows = []
    plan = zip(degrees, (stated, answer, stated, cadence), _HEIGHTS, strict=True)
    for bar, (degree, rhythm, height) in enumerate(plan):
        chord, anchor = key.chord(int(degree)), style.register + height
        root = CHORD_ROOTS.index(tone_name(chord.tones[0])) + 1
        local_key = LOCAL_KEYS.index(key.name) + 1
        melody = _melody(chord, rhythm, contours[rhythm], anchor)
        third = _nearest(pitches(chord.tones[1:2]), anchor - 9)
        parts = (melody, [(0, STEPS_PER_BAR, third)], _accompaniment(chord, style))
        for part, strokes in enumerate(parts):
            texture = MELODIC if part == MELODY else HARMONIC
            texture += RHYTHMIC * (len({step for step, _, _ in strokes}) >= RHYTHMIC_ONSETS)
            labels = (root, local_key, rhythm == motif and part == MELODY, texture)
            level = style.velocity + _PART_LEVEL[part] + (0 if is_verse else _REFRAIN_LEVEL)
            for step, steps, pitch in strokes:
                onset = BEATS_PER_BAR * bar + step / STEPS_PER_BEAT
                times = (onset, onset + steps / STEPS_PER_BEAT)
                rows.append(
                    (*times, pitch, level + _STEP_LEVEL[step], part, part, bar, step, *labels)
                )
    return np.array(rows, NOTE)


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


def _melody(chord: Triad, rhythm: str, contour: list[int], anchor: int) -> list[Stroke]:
    """The contour on the scale from the chord tone nearest to the pitch `anchor`, moved to chord
    tones on strong beats and in long notes."""
    ladder, chord_pitches = pitches(chord.scale), pitches(chord.tones)
    first = ladder.index(_nearest(chord_pitches, anchor))
    notes = []
    for (step, steps, _), climb in zip(_strokes(rhythm), contour, strict=True):
        pitch = ladder[first + climb]
        if step % (STEPS_PER_BAR // 2) == 0 or steps >= _LONG:
            pitch = _nearest(chord_pitches, pitch)
        notes.append((step, steps, pitch))
    return notes


def _accompaniment(chord: Triad, style: Style) -> list[Stroke]:
    """The bass from the root up, and the hand in the chord's close position."""
    bass = pitches(chord.scale, pitches(chord.tones[:1], _LOWEST_BASS)[0])
    close = pitches(chord.tones, _LOWEST_OF_HAND)[:3]
    notes = [(step, steps, bass[int(degree) - 1]) for step, steps, degree in _strokes(style.bass)]
    for step, steps, symbol in _strokes(style.hand):
        tones = close if symbol == "C" else [close[int(symbol) - 1]]
        notes += [(step, steps, pitch) for pitch in tones]
    return notes


def _nearest(options: list[int], target: int) -> int:
    return min(options, key=lambda pitch: abs(pitch - target))
