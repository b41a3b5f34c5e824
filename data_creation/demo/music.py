"""Composes small 4/4 pieces for piano: melody, bridge and accompaniment over chord progressions.

A piece is planned from the top down, the way a songwriter might sketch it:

    style -> key, tempo, form (A A B A ...) -> sections (chords, a motif) -> parts -> velocities

`compose` writes the piece, `performance.perform` plays it. Both depend on nothing but their
arguments.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from data_creation.demo.harmony import (
    CHORD_ROOT_CLASS,
    LOCAL_KEY_CLASS,
    Chord,
    Key,
    harmonise,
    tone_name,
)
from data_creation.demo.styles import FIGURES, FORMS, MELODIES, PROGRESSIONS, Style
from m2bert.notes.cp import BEATS_PER_BAR

STEPS_PER_BEAT = 4  # a step is a sixteenth
STEPS_PER_BAR = BEATS_PER_BAR * STEPS_PER_BEAT
BARS_PER_PHRASE = 4
STEPS_PER_CHORD = 8  # the harmony moves by half bars

MELODY, BRIDGE, ACCOMPANIMENT = range(3)

# Dynamics, in MIDI velocity above or below the style's, by section, part, bar and sixteenth.
_SECTION_LEVEL = {"i": -18, "A": 0, "B": 8, "C": 14, "o": -24, "-": 0}
_PART_LEVEL = np.array([14, 0, -10])
_STEP_LEVEL = np.array([10, -6, -2, -6, 2, -6, -2, -6, 6, -6, -2, -6, 2, -6, -2, -6])
_PHRASE_ARCH = np.array([-4, 0, 6, -2])

_ANCHOR_ARCH = (0, 2, 3, 0)  # the same arch in the melody's height, semitones
_SPLIT_PITCH = 57  # the left hand's chords lie around it
_LONG = 6  # steps from which on a melody note is a tone of the chord

_OPEN_STRINGS = (55, 62, 69, 76)  # a violin's strings 1 to 4: G, D, A, E
_VIOLIN_POSITIONS = 11
_DIATONIC_STEP = np.array([0, 1, 1, 2, 2, 3, 3, 4, 5, 5, 6, 6])  # of a semitone above the string

# Bits of a note's texture; the rhythmic one is found by counting.
_MELODIC, _RHYTHMIC, _HARMONIC = 4, 2, 1
_RHYTHMIC_ONSETS = 6  # so many onsets in a bar make a part rhythmic

COLUMNS = {
    "onset": np.float64,
    "offset": np.float64,
    "pitch": np.int16,
    "velocity": np.int16,
    "track": np.int16,
    "part": np.int16,
    "bar": np.int16,
    "chord_root": np.int16,
    "local_key": np.int16,
    "is_beat": np.int16,
    "is_downbeat": np.int16,
    "is_motif": np.int16,
    "texture": np.int16,
    "violin_string": np.int16,
    "violin_position": np.int16,
    "violin_finger": np.int16,
}
"""What is known about a note, and its type; `data_creation.demo.write` says what each holds."""

NOTE = np.dtype(list(COLUMNS.items()))
"""One note with all of that."""


def strokes(rhythm: str) -> list[tuple[int, int, str]]:
    """The notes of a rhythm as (first step, steps, symbol): `..C---` is `[(2, 4, "C")]`."""
    return [
        (match.start(), match.end() - match.start(), match.group()[0])
        for match in re.finditer(r"[^.-]-*", rhythm)
    ]


@dataclass(frozen=True)
class Composition:
    """A piece: notes `(notes,)` of dtype `NOTE` in beats, the name of its key, its tempo, its bars.

    `notes` is sorted by (track, onset, pitch).
    """

    notes: np.ndarray
    key: str
    tempo: int
    bars: int


@dataclass(frozen=True)
class Section:
    """Four bars of material: eight chords, and a rhythm and a melodic contour for each bar.

    A contour gives, for each note of its bar, how many degrees of the scale it climbs above (or
    falls below) the chord tone on which the bar is anchored.
    """

    chords: list[Chord]
    rhythms: tuple[str, str, str, str]
    contours: tuple[tuple[int, ...], ...]


class Stroke(NamedTuple):
    """A note on the grid of sixteenths, in steps from the start of its phrase or piece."""

    step: int
    steps: int
    pitch: int
    texture: int
    in_motif: bool = False


def compose(seed: int | Sequence[int], style: Style, phrases: int) -> Composition:
    """Write a piece of `phrases` phrases (a key of `FORMS`) of four bars in a style.

    Every part is a track of its own (0 melody, 1 bridge, 2 accompaniment).
    """
    rng = np.random.default_rng(seed)
    minor = bool(rng.integers(2)) if style.minor is None else style.minor
    # Up to four sharps or flats: A major and F# minor have the same three, three fifths apart.
    key = Key(int(rng.integers(-4, 5)) + (3 if minor else 0), minor)
    keys = {"A": key, "B": key, "C": _modulated(rng, key)}
    sections = {letter: _section(rng, style, key) for letter, key in keys.items()}
    form = _form(rng, phrases)
    tempo = int(rng.integers(style.tempo[0], style.tempo[1] + 1))

    parts: list[list[Stroke]] = [[], [], []]
    chords: list[Chord] = []  # of every half bar
    letters = ""  # of every bar
    for letter in form:
        first_step = len(letters) * STEPS_PER_BAR
        if letter == "-":  # a bar of silence, still in the harmony before it (or after it)
            chords += [chords[-1] if chords else sections["A"].chords[0]] * 2
            letters += letter
            continue
        section = sections.get(letter, sections["A"])
        if letter == "o":
            section = _ending(section, key)
        for part, phrase in zip(parts, _phrase(style, letter, section), strict=True):
            part += [note._replace(step=first_step + note.step) for note in phrase]
        chords += section.chords
        letters += letter * BARS_PER_PHRASE

    notes = _annotated(parts, chords, letters)
    notes["velocity"] = _velocities(rng, style, notes, letters)
    _finger(notes, letters)
    notes["onset"] = _swung(notes["onset"], style.swing)
    notes["offset"] = _swung(notes["offset"], style.swing)
    return Composition(notes, key.name, tempo, len(letters))


def _pick(rng: np.random.Generator, options: Sequence):
    return options[int(rng.integers(len(options)))]


def _modulated(rng: np.random.Generator, key: Key) -> Key:
    """The key of section C: home, the relative key, the dominant's, or a whole tone up."""
    dominant, lifted = (Key(key.tonic + fifths, key.minor) for fifths in (1, 2))
    return _pick(rng, (key, key.relative, dominant, lifted))


def _form(rng: np.random.Generator, phrases: int) -> str:
    """A form, in half of the pieces with a bar of silence (`-`) before some phrase."""
    form = _pick(rng, FORMS[phrases])
    pause = int(rng.integers(2 * len(form)))
    return form[:pause] + "-" + form[pause:] if pause < len(form) else form


def _section(rng: np.random.Generator, style: Style, key: Key) -> Section:
    chords = harmonise(key, _pick(rng, PROGRESSIONS[style.harmony][key.minor]))
    motif, answer, cadence = _pick(rng, MELODIES[style.melody])
    contours = {rhythm: _contour(rng, rhythm) for rhythm in (motif, answer, cadence)}
    rhythms = (motif, answer, motif, cadence)
    return Section(chords, rhythms, tuple(contours[rhythm] for rhythm in rhythms))


def _contour(rng: np.random.Generator, rhythm: str) -> tuple[int, ...]:
    """A walk by steps, with now and then a leap of a third, within a fifth of its start."""
    contour = [0]
    while len(contour) < len(strokes(rhythm)):
        contour.append(contour[-1] + _pick(rng, (-2, -1, -1, 1, 1, 2)))
        if abs(contour[-1]) > 4:  # turn round where the walk would leave its range
            contour[-1] = 2 * contour[-2] - contour[-1]
    return tuple(contour)


def _ending(section: Section, key: Key) -> Section:
    """The motif, alone and answered by silence, then the tonic for a whole bar."""
    tonic = harmonise(key, "i" if key.minor else "I")
    silence, last = "." * STEPS_PER_BAR, "x" + "-" * (STEPS_PER_BAR - 1)
    return Section(
        section.chords[:6] + tonic,
        (section.rhythms[0], silence, silence, last),
        (section.contours[0], (), (), (0,)),
    )


def _phrase(style: Style, letter: str, section: Section) -> list[list[Stroke]]:
    """Melody, bridge and accompaniment of one phrase, steps counted from its start."""
    verse = letter in "iAo"
    other = 0 if verse else 1
    melody = _melody(section, style.register, states_motif=verse)
    bridge = BRIDGES[style.bridges[other]](section, melody, style.register)
    accompaniment = _accompaniment(style, FIGURES[style.figures[other]], section.chords)
    if letter == "i":  # the bridge announces the motif, an octave above its later place
        melody, bridge = [], _melody(section, style.register + 12, states_motif=True)
    if letter == "o":
        accompaniment = _with_last_chord(style, accompaniment, section.chords[-1])
    return [melody, bridge, accompaniment]


def _melody(section: Section, register: int, states_motif: bool) -> list[Stroke]:
    """The right hand's tune: contours on the ladder of the harmony, chord tones where it counts."""
    contour = [(bar, climb) for bar, climbs in enumerate(section.contours) for climb in climbs]
    rhythm = strokes("".join(section.rhythms))
    notes = []
    for (step, steps, _), (bar, climb) in zip(rhythm, contour, strict=True):
        chord = _chord_below(section, step, steps)
        ladder = chord.ladder
        chord_tones = [pitch for pitch in ladder if pitch % 12 in chord.chroma]
        anchor = _nearest(chord_tones, register + _ANCHOR_ARCH[bar])
        pitch = ladder[ladder.index(anchor) + climb]
        if step % STEPS_PER_CHORD == 0 or steps >= _LONG:
            pitch = _nearest(chord_tones, pitch)
        notes.append(Stroke(step, steps, pitch, _MELODIC, states_motif and bar in (0, 2)))
    return notes


def _chord_below(section: Section, step: int, steps: int) -> Chord:
    """The chord to which a note belongs.

    A note that is held into the next chord belongs to that one already (an anticipation).
    """
    middle = (step + steps // 2) // STEPS_PER_CHORD
    return section.chords[min(middle, len(section.chords) - 1)]


def _guide(section: Section, melody: list[Stroke], register: int) -> list[Stroke]:
    """A counter line below the melody, the thirds of the chords in long notes."""
    notes = []
    for bar in range(BARS_PER_PHRASE):
        first, second = section.chords[2 * bar : 2 * bar + 2]
        chords = (first,) if first == second else (first, second)
        steps = STEPS_PER_BAR // len(chords)
        for i, chord in enumerate(chords):
            third = _near(chord.chroma[1], register - 9)
            notes.append(Stroke(bar * STEPS_PER_BAR + i * steps, steps, third, _HARMONIC))
    return notes


def _fills(section: Section, melody: list[Stroke], register: int) -> list[Stroke]:
    """Broken chords upwards where the melody comes to rest, in the second and fourth bar."""
    notes = []
    for bar in (1, 3):
        chord = section.chords[2 * bar + 1]
        tones = [p for p in chord.ladder if p % 12 in chord.chroma and p > register]
        start = bar * STEPS_PER_BAR + STEPS_PER_CHORD
        notes += [Stroke(start + 2 * i, 2, tones[i], _MELODIC) for i in range(4)]
    return notes


def _thirds(section: Section, melody: list[Stroke], register: int) -> list[Stroke]:
    """The melody once more, a third lower."""
    notes = []
    for note in melody:
        ladder = _chord_below(section, note.step, note.steps).ladder
        third_below = ladder[ladder.index(note.pitch) - 2]
        notes.append(Stroke(note.step, note.steps, third_below, _MELODIC + _HARMONIC))
    return notes


BRIDGES: dict[str, Callable[[Section, list[Stroke], int], list[Stroke]]] = {
    "guide": _guide,
    "fills": _fills,
    "thirds": _thirds,
}


def _accompaniment(style: Style, figure: tuple[str, str], chords: list[Chord]) -> list[Stroke]:
    """The left hand: a figure on every bar's chords, each chord led from the one before."""
    bass_line, hand_line = figure
    roots = [_bass(style, chord) for chord in chords]
    voicings = [_voicing(chords[0], _SPLIT_PITCH)]
    for chord in chords[1:]:
        voicings.append(_voicing(chord, sum(voicings[-1]) / len(voicings[-1])))
    notes = []
    for bar_start in range(0, len(chords) * STEPS_PER_CHORD, STEPS_PER_BAR):
        for step, steps, symbol in strokes(bass_line):
            half = (bar_start + step) // STEPS_PER_CHORD
            pitch = _bass_tone(symbol, chords[half], roots[half], roots[(half + 1) % len(roots)])
            notes.append(Stroke(bar_start + step, steps, pitch, _HARMONIC))
        for step, steps, symbol in strokes(hand_line):
            voicing = voicings[(bar_start + step) // STEPS_PER_CHORD]
            if style.pedal:
                steps = STEPS_PER_CHORD - step % STEPS_PER_CHORD
            tones = voicing if symbol == "C" else [_chord_tone(voicing, int(symbol))]
            notes += [Stroke(bar_start + step, steps, pitch, _HARMONIC) for pitch in tones]
    return notes


def _with_last_chord(style: Style, accompaniment: list[Stroke], chord: Chord) -> list[Stroke]:
    """The accompaniment of a phrase with one chord, held, in place of its last bar."""
    last_bar = STEPS_PER_BAR * (BARS_PER_PHRASE - 1)
    pitches = [_bass(style, chord), *_voicing(chord, _SPLIT_PITCH)]
    return [note for note in accompaniment if note.step < last_bar] + [
        Stroke(last_bar, STEPS_PER_BAR, pitch, _HARMONIC) for pitch in pitches
    ]


def _bass(style: Style, chord: Chord) -> int:
    """The root of the chord in the octave above the style's lowest bass."""
    return style.bass + (chord.chroma[0] - style.bass) % 12


def _bass_tone(symbol: str, chord: Chord, root: int, next_root: int) -> int:
    third, fifth = (root + (tone - chord.chroma[0]) % 12 for tone in chord.chroma[1:3])
    return {"R": root, "T": third, "F": fifth, "O": root + 12, "A": next_root - 1}[symbol]


def _voicing(chord: Chord, previous: float) -> list[int]:
    """The chord in close position, ascending, in the inversion nearest to the one before.

    `previous` is the mean pitch of the chord before.
    """
    target = (previous + _SPLIT_PITCH) / 2  # lean back, so that the hand does not wander off
    inversions = [
        sorted(lowest + (tone - lowest) % 12 for tone in chord.chroma)
        for lowest in range(_SPLIT_PITCH - 12, _SPLIT_PITCH + 6)
        if lowest % 12 in chord.chroma
    ]
    return min(inversions, key=lambda pitches: abs(sum(pitches) / len(pitches) - target))


def _chord_tone(voicing: list[int], number: int) -> int:
    """The number-th (from 1) tone of a voicing upwards; beyond its top, an octave up."""
    octave, index = divmod(number - 1, len(voicing))
    return voicing[index] + 12 * octave


def _nearest(pitches: Sequence[int], target: int) -> int:
    return min(pitches, key=lambda pitch: abs(pitch - target))


def _near(chroma: int, target: int) -> int:
    """The pitch of a pitch class that is nearest to `target`, from 5 below to 6 above."""
    return target - 5 + (chroma - (target - 5)) % 12


# --- What is known about each note -------------------------------------------------------------


def _annotated(parts: list[list[Stroke]], chords: list[Chord], letters: str) -> np.ndarray:
    """All notes with everything but velocity and fingering, sorted by (track, onset, pitch)."""
    table = np.array([note for part in parts for note in part], dtype=np.int64)
    step, steps, pitch, texture, in_motif = table.T
    notes = np.zeros(len(table), dtype=NOTE)
    notes["onset"] = step / STEPS_PER_BEAT
    notes["offset"] = (step + steps) / STEPS_PER_BEAT
    notes["pitch"] = pitch
    notes["part"] = notes["track"] = np.repeat(range(len(parts)), [len(part) for part in parts])
    notes["bar"] = step // STEPS_PER_BAR
    half_bar = step // STEPS_PER_CHORD
    roots = np.array([CHORD_ROOT_CLASS[tone_name(chord.tones[0])] for chord in chords])
    keys = np.array([LOCAL_KEY_CLASS[chord.key.name] for chord in chords])
    notes["chord_root"] = roots[half_bar]
    notes["local_key"] = keys[half_bar]
    notes["is_beat"] = step % STEPS_PER_BEAT == 0
    notes["is_downbeat"] = step % STEPS_PER_BAR == 0
    notes["is_motif"] = in_motif

    onsets = np.zeros((len(parts), len(letters), STEPS_PER_BAR), dtype=bool)
    onsets[notes["part"], notes["bar"], step % STEPS_PER_BAR] = True
    rhythmic = onsets.sum(axis=-1) >= _RHYTHMIC_ONSETS
    notes["texture"] = texture + _RHYTHMIC * rhythmic[notes["part"], notes["bar"]]
    return notes[np.lexsort((notes["pitch"], notes["onset"], notes["track"]))]


def _velocities(
    rng: np.random.Generator, style: Style, notes: np.ndarray, letters: str
) -> np.ndarray:
    """Dynamics: the style's level, shaped by section, phrase, part, beat and a little chance."""
    section_level = np.array([_SECTION_LEVEL[letter] for letter in letters])
    bar_of_phrase = _bars_of_phrases(letters)
    step = np.rint(notes["onset"] * STEPS_PER_BEAT).astype(np.int64) % STEPS_PER_BAR
    velocity = (
        style.velocity
        + section_level[notes["bar"]]
        + _PHRASE_ARCH[bar_of_phrase[notes["bar"]]]
        + _PART_LEVEL[notes["part"]]
        + _STEP_LEVEL[step]
        + rng.normal(0, 3, len(notes))
    )
    return np.clip(np.rint(velocity), 8, 127)


def _bars_of_phrases(letters: str) -> np.ndarray:
    """For every bar its number in its phrase, 0..3; a bar of silence does not count."""
    counts = np.cumsum([letter != "-" for letter in letters]) - 1
    return np.maximum(counts, 0) % BARS_PER_PHRASE


def _finger(notes: np.ndarray, letters: str) -> None:
    """Fill in how a violinist would play the melody: first position, third in the sections B and C.

    A tone out of the position's reach costs the smallest shift that brings it under a finger; of
    equals, the highest string. -1 where there is no fingering: other parts, tones below the violin.
    """
    home = np.array([3 if letter in "BC" else 1 for letter in letters])[notes["bar"], None]
    above = notes["pitch"][:, None] - np.array(_OPEN_STRINGS)
    octave, semitones = np.divmod(above, 12)
    step = 7 * octave + _DIATONIC_STEP[semitones]
    position = np.clip(home, np.maximum(step - 3, 1), np.maximum(step, 1))
    reachable = (above >= 0) & (position <= _VIOLIN_POSITIONS)
    shift = np.where(reachable, np.abs(position - home), _VIOLIN_POSITIONS)
    string = len(_OPEN_STRINGS) - 1 - np.argmin(shift[:, ::-1], axis=1)
    playable = reachable.any(axis=1) & (notes["part"] == MELODY)
    row = np.arange(len(notes))
    fingering = (string + 1, position[row, string], (step - position)[row, string] + 1)
    for column, value in zip(("string", "position", "finger"), fingering, strict=True):
        notes[f"violin_{column}"] = np.where(playable, value, -1)


def _swung(beats: np.ndarray, swing: float) -> np.ndarray:
    """Beats in which the second half of every beat starts at `swing` in place of 0.5."""
    whole = np.floor(beats)
    return whole + np.interp(beats - whole, (0, 0.5, 1), (0, swing, 1))
