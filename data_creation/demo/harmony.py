"""Keys and chords with the names of their tones, as a musician spells them.

Every tone is kept on the line of fifths (... B- F C G D ... = ... -2 -1 0 1 2 ...), so that chord
roots and keys have names, not only places on a keyboard: the same black key is F# in D major and
G- in D- major.
"""

from collections.abc import Iterable
from dataclasses import dataclass

# The seven tones of a key, in fifths above its tonic; minor is natural minor.
_MAJOR, _MINOR = (0, 2, 4, -1, 1, 3, 5), (0, 2, -3, -1, 1, -4, -2)


@dataclass(frozen=True)
class Chord:
    """A chord: its tones, the root first, then third, fifth (and seventh), and the scale it is of,
    both on the line of fifths."""

    tones: tuple[int, ...]
    scale: tuple[int, ...]


@dataclass(frozen=True)
class Key:
    """A key: its tonic on the line of fifths (C = 0) and its mode."""

    tonic: int
    minor: bool

    @property
    def name(self) -> str:
        return tone_name(self.tonic).lower() if self.minor else tone_name(self.tonic)

    def relative(self) -> "Key":
        """The key of the same tones in the other mode: A minor for C major and the reverse."""
        return Key(self.tonic + (-3 if self.minor else 3), not self.minor)

    def chord(self, degree: int, seventh: bool = False) -> Chord:
        """The chord on a degree of the scale, 1 to 7, as triad or with a seventh."""
        scale = [self.tonic + fifths for fifths in (_MINOR if self.minor else _MAJOR)]
        if self.minor and degree == 5:
            scale[6] += 7  # the leading tone: a semitone up is seven fifths up
        thirds = (0, 2, 4, 6) if seventh else (0, 2, 4)
        return Chord(tuple(scale[(degree - 1 + third) % 7] for third in thirds), tuple(scale))


def tone_name(tone: int) -> str:
    """The name of a tone on the line of fifths: 0 is C, 6 is F#, -2 is B-."""
    accidentals, letter = divmod(tone + 1, 7)
    return "FCGDAEB"[letter] + ("#" * accidentals if accidentals > 0 else "-" * -accidentals)


def pitch_class(tone: int) -> int:
    """The pitch class (C = 0 ... B = 11) of a tone on the line of fifths."""
    return 7 * tone % 12


def pitches(tones: Iterable[int], lowest: int = 22, highest: int = 107) -> list[int]:
    """The MIDI pitches of some tones from `lowest` to `highest`, ascending."""
    classes = {pitch_class(tone) for tone in tones}
    return [pitch for pitch in range(lowest, highest + 1) if pitch % 12 in classes]
