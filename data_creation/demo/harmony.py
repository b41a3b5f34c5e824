"""Keys and chords with the names of their tones, as a musician spells them.

Every tone is kept on the line of fifths (... B- F C G D ... = ... -2 -1 0 1 2 ...), so that chord
roots and keys have names, not only places on a keyboard: the same black key is F# in D major and
G- in D- major.
"""

from dataclasses import dataclass

from m2bert.tasks import CHORD_ROOTS, LOCAL_KEYS

CHORD_ROOT_CLASS = {name: number for number, name in enumerate(CHORD_ROOTS, start=1)}
LOCAL_KEY_CLASS = {name: number for number, name in enumerate(LOCAL_KEYS, start=1)}

# Root, third, fifth (and seventh) of a chord, in fifths above its root.
_MAJOR, _MINOR, _DIMINISHED, _SUSPENDED = (0, 4, 1), (0, -3, 1), (0, -3, -6), (0, -1, 1)
_DOMINANT_7, _MAJOR_7, _MINOR_7 = (0, 4, 1, -2), (0, 4, 1, 5), (0, -3, 1, -2)
_HALF_DIMINISHED = (0, -3, -6, -2)

# Roman numeral -> (root in fifths above the tonic, tones in fifths above the root).
CHORDS = {
    # of the major keys
    "I": (0, _MAJOR),
    "ii": (2, _MINOR),
    "iii": (4, _MINOR),
    "IV": (-1, _MAJOR),
    "V": (1, _MAJOR),
    "vi": (3, _MINOR),
    "Imaj7": (0, _MAJOR_7),
    "ii7": (2, _MINOR_7),
    "iii7": (4, _MINOR_7),
    "IVmaj7": (-1, _MAJOR_7),
    "V7": (1, _DOMINANT_7),
    "vi7": (3, _MINOR_7),
    "Vsus": (1, _SUSPENDED),
    "II7": (2, _DOMINANT_7),  # the dominant of the dominant
    "III7": (4, _DOMINANT_7),  # the dominant of the sixth degree
    "bVII": (-2, _MAJOR),
    # of the minor keys
    "i": (0, _MINOR),
    "iio": (2, _DIMINISHED),
    "III": (-3, _MAJOR),
    "iv": (-1, _MINOR),
    "v": (1, _MINOR),
    "VI": (-4, _MAJOR),
    "VII": (-2, _MAJOR),
    "i7": (0, _MINOR_7),
    "iio7": (2, _HALF_DIMINISHED),
    "iv7": (-1, _MINOR_7),
    "VImaj7": (-4, _MAJOR_7),
}


@dataclass(frozen=True)
class Key:
    """A key: its tonic on the line of fifths (C = 0) and its mode."""

    tonic: int
    minor: bool

    @property
    def name(self) -> str:
        name = tone_name(self.tonic)
        return name[0].lower() + name[1:] if self.minor else name

    @property
    def scale(self) -> set[int]:
        """The seven tones of the key (minor: the natural form), on the line of fifths."""
        lowest = self.tonic - (4 if self.minor else 1)
        return set(range(lowest, lowest + 7))

    @property
    def relative(self) -> "Key":
        """The key of the same tones in the other mode: A minor for C major and the reverse."""
        return Key(self.tonic + (-3 if self.minor else 3), not self.minor)


@dataclass(frozen=True)
class Chord:
    """A chord in a key: its tones on the line of fifths, the root first, then third and fifth."""

    key: Key
    tones: tuple[int, ...]

    @property
    def chroma(self) -> list[int]:
        """Pitch classes (C = 0) of the tones, in their order."""
        return [pitch_class(tone) for tone in self.tones]

    @property
    def ladder(self) -> list[int]:
        """The MIDI pitches on which a melody can walk over this chord, ascending.

        The scale of the key, in which tones that the chord alters (the leading tone over a minor
        key's dominant) take the place of the unaltered ones, seven fifths away.
        """
        altered = set(self.tones) - self.key.scale
        scale = (self.key.scale - {tone + shift for tone in altered for shift in (-7, 7)}) | altered
        chroma = {pitch_class(tone) for tone in scale}
        return [pitch for pitch in range(22, 108) if pitch % 12 in chroma]


def tone_name(tone: int) -> str:
    """The name of a tone on the line of fifths: 0 is C, 6 is F#, -2 is B-."""
    accidentals, letter = divmod(tone + 1, 7)
    return "FCGDAEB"[letter] + ("#" * accidentals if accidentals > 0 else "-" * -accidentals)


def pitch_class(tone: int) -> int:
    """The pitch class (C = 0 ... B = 11) of a tone on the line of fifths."""
    return 7 * tone % 12


def harmonise(key: Key, progression: str) -> list[Chord]:
    """The chords of a progression in a key, one every half bar."""
    chords = []
    for bar in progression.split():
        halves = bar.split(",")
        for numeral in (halves[0], halves[-1]):
            root, tones = CHORDS[numeral]
            chords.append(Chord(key, tuple(key.tonic + root + tone for tone in tones)))
    return chords
