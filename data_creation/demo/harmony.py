"""Keys and chords with spelled names.

A tone is its place on the line of fifths (... -2 B flat, -1 F, 0 C, 1 G ...), so that F# and G-,
the same key of a piano, differ.
"""

from collections.abc import Iterable
from typing import NamedTuple

from m2bert.tasks import fifths_name

_MAJOR, _MINOR = (0, 2, 4, -1, 1, 3, 5), (0, 2, -3, -1, 1, -4, -2)  # fifths above the tonic


class Triad(NamedTuple):
    """A triad and the scale that it belongs to, as tones."""

    tones: tuple[int, ...]
    scale: tuple[int, ...]


class Key(NamedTuple):
    """A key: its tonic, a tone, and its mode."""

    tonic: int
    minor: bool

    @property
    def name(self) -> str:
        return tone_name(self.tonic).lower() if self.minor else tone_name(self.tonic)

    def relative(self) -> "Key":
        """A minor of C major and the reverse."""
        return Key(self.tonic + (-3 if self.minor else 3), not self.minor)

    def chord(self, degree: int) -> Triad:
        """The triad on a degree of the scale, 1 to 7; the fifth of a minor key is major."""
        scale = [self.tonic + fifths for fifths in (_MINOR if self.minor else _MAJOR)]
        if self.minor and degree == 5:
            scale[6] += 7  # a semitone up
        return Triad(tuple(scale[(degree - 1 + third) % 7] for third in (0, 2, 4)), tuple(scale))


def tone_name(tone: int) -> str:
    """0 is C, 6 is F#, -2 is B-."""
    return fifths_name(tone, flat="-")


def pitch_class(tone: int) -> int:
    return 7 * tone % 12


def pitches(tones: Iterable[int], lowest: int = 22) -> list[int]:
    """The MIDI pitches of tones from `lowest` to 107, ascending."""
    classes = {pitch_class(tone) for tone in tones}
    return [pitch for pitch in range(lowest, 108) if pitch % 12 in classes]
