"""The vocabulary of the demo music and the styles that choose from it; data, no code.

Rhythms are written as text, one character a sixteenth: a symbol starts a note, `-` holds it, `.` is
a rest.
"""

from dataclasses import dataclass

# Four bars each; a comma parts the two halves of a bar. First row major, second row minor.
PROGRESSIONS = {
    "pop": (
        ("I V vi IV", "vi IV I V", "I vi IV V", "IV I V vi"),
        ("i VI III VII", "i iv VI V", "VI VII i i", "i VII VI VII"),
    ),
    "hymn": (
        ("I IV I V", "IV I,V vi IV", "I I IV Vsus,V", "vi IV I Vsus"),
        ("i VI iv V", "i VII VI V", "VI III VII i"),
    ),
    "rock": (
        ("I bVII IV I", "I IV V IV", "I I bVII IV"),
        ("i VII VI VII", "i VI VII i", "i i VI VII"),
    ),
    "jazz": (
        ("ii7 V7 Imaj7 vi7", "Imaj7 vi7 ii7 V7", "iii7 vi7 ii7,V7 Imaj7"),
        ("iio7 V7 i7 i7", "i7 iv7 iio7 V7", "iv7 VII VImaj7 V7"),
    ),
    "ballad": (
        ("Imaj7 IVmaj7 iii7 vi7", "I III7 vi IV", "IVmaj7 V iii7 vi7"),
        ("i VImaj7 iv7 V", "i7 iv7 VII III", "VImaj7 VII i7 i7"),
    ),
    "classical": (
        ("I V7 V7 I", "I IV V7 I", "I vi ii,V7 I", "I II7 V V7"),
        ("i V7 V7 i", "i iv V7 i", "i VI iio,V7 i"),
    ),
}


# The left hand, one bar. Bass: R root, F fifth, T third, O root an octave up, A the tone that leads
# into the next root. Hand: C the whole chord, 1-3 its tones upwards, 4 the lowest an octave up.
FIGURES = {
    "block": ("R-------R-------", "C-------C-------"),
    "pads": ("R-------O-------", "C-----------C---"),
    "pulse": ("R---R---R---R---", "C-C-C-C-C-C-C-C-"),
    "anthem": ("R-----R-R-----R-", "C---C---C---C---"),
    "broken": ("R-------F-------", "..1-2-3-4-3-2-1-"),
    "alberti": ("R-------........", "1-3-2-3-1-3-2-3-"),
    "arpeggio": ("R-F-O---R-F-O---", "......1-2-3-4-3-"),
    "ripple": ("R-------R-------", "1234321212343212"),
    "ostinato": ("R-F-O-F-R-F-O-F-", "....1-......2-.."),
    "stride": ("R---....F---....", "....C---....C---"),
    "walking": ("R---T---F---A---", "......C-......C-"),
    "country": ("R---....F---....", "....C-C-....C-C-"),
    "habanera": ("R-----F-O---F---", "..C-..C-..C-C---"),
    "drive": ("R-R-R-R-R-R-R-F-", "C-----C-----C---"),
}

# The right hand as (motif, answer, cadence), one bar each: a phrase is motif answer motif cadence.
# An answer that starts with `-` holds the last note of the motif over the bar line.
MELODIES = {
    "sparse": (
        ("x-------x-------", "x-----------x---", "x---------------"),
        ("....x-------x---", "--------x-------", "x-----------...."),
    ),
    "lyrical": (
        ("x-----x-x---x---", "x---x---x-------", "x-----x-x-------"),
        ("x---x-----x-x---", "----x---x-----x-", "x---x---x-------"),
    ),
    "flowing": (
        ("x-x-x-x-x---x---", "x-x-x-x-x-x-x---", "x-x-x---x-------"),
        ("..x-x-x-x-x-x---", "x-x-x-x-x-------", "x---x-x-x-----.."),
    ),
    "syncopated": (
        ("x--x--x-x--x--x-", "--x-x--x--x-x---", "x--x--x---------"),
        ("..x-x--x--x-x-x-", "--x--x--x-x-x---", "--x---x-x-----.."),
    ),
    "running": (
        ("x-xxx-x-x-xxx-x-", "xxxxx-x-xxxxx-x-", "x-x-xxxxx-------"),
        ("x---xxxxx-x-x-x-", "x-x-xxxxx-x-x---", "xxxxx-x-x-------"),
    ),
    "dotted": (
        ("x--xx---x--xx---", "x--xx--xx---x---", "x--xx---x-------"),
        ("x---x--xx---x--x", "x--xx---x--xx---", "x--xx--xx-----.."),
    ),
    "swinging": (
        ("x-x-..x-x-x-..x-", "--x-x-x-..x-x---", "x-x-..x---------"),
        ("..x-x-x---x-x-x-", "--..x-x-x-x-..x-", "--x-x---x-----.."),
    ),
}


@dataclass(frozen=True)
class Style:
    """What the pieces of a composer, an emotion or a genre have in common.

    Attributes:
        minor: True or False; None lets each piece choose.
        tempo: range in quarter notes a minute.
        harmony: a row of `PROGRESSIONS`.
        figures: rows of `FIGURES`, for the verse (section A) and for the other sections.
        melody: a row of `MELODIES`.
        bridges: rows of `BRIDGES`, for the verse and for the other sections.
        register: MIDI pitch around which the melody lies.
        bass: lowest MIDI pitch of the bass.
        velocity: MIDI velocity around which the piece is played.
        swing: where in the beat its second half starts; 0.5 is straight.
        touch: sounding share of a note's length when performed, from staccato to legato.
        pedal: whether the hand's notes ring until the harmony may change.
    """

    minor: bool | None
    tempo: tuple[int, int]
    harmony: str
    figures: tuple[str, str]
    melody: str
    bridges: tuple[str, str]
    register: int
    bass: int
    velocity: int
    swing: float = 0.5
    touch: float = 0.95
    pedal: bool = False


# Invented parameters that can be told apart: the names say for whose class the pieces stand in,
# not whose music they are. In the order of the attributes above: mode, tempo, harmony, figures,
# melody, bridges.
# fmt: off
COMPOSER_STYLES = {
    "Bethel": Style(
        False, (66, 74), "hymn", ("pads", "anthem"), "sparse", ("guide", "thirds"),
        register=67, bass=31, velocity=66,
    ),
    "Clayderman": Style(
        True, (76, 92), "pop", ("arpeggio", "arpeggio"), "lyrical", ("guide", "thirds"),
        register=79, bass=38, velocity=74, pedal=True,
    ),
    "Einaudi": Style(
        True, (60, 72), "pop", ("ostinato", "ripple"), "sparse", ("guide", "guide"),
        register=76, bass=36, velocity=46, pedal=True,
    ),
    "Hancock": Style(
        None, (120, 160), "jazz", ("walking", "habanera"), "swinging", ("fills", "fills"),
        register=70, bass=36, velocity=86, swing=0.66, touch=0.85,
    ),
    "Hillsong": Style(
        False, (70, 84), "pop", ("anthem", "pulse"), "syncopated", ("guide", "thirds"),
        register=72, bass=33, velocity=90,
    ),
    "Hisaishi": Style(
        False, (92, 116), "classical", ("alberti", "broken"), "flowing", ("fills", "guide"),
        register=77, bass=43, velocity=68,
    ),
    "Ryuichi": Style(
        True, (58, 70), "ballad", ("block", "pads"), "lyrical", ("guide", "fills"),
        register=65, bass=36, velocity=42,
    ),
    "Yiruma": Style(
        False, (64, 80), "ballad", ("broken", "broken"), "dotted", ("fills", "thirds"),
        register=74, bass=41, velocity=54, pedal=True,
    ),
}

# Russell's quadrants: valence high or low as major or minor, arousal high or low as fast, loud and
# dense or slow, soft and sparse.
EMOTION_STYLES = {
    "Q1": Style(
        False, (120, 150), "pop", ("stride", "country"), "running", ("fills", "thirds"),
        register=77, bass=43, velocity=92, touch=0.6,
    ),
    "Q2": Style(
        True, (126, 156), "rock", ("drive", "pulse"), "syncopated", ("guide", "guide"),
        register=66, bass=31, velocity=98, touch=0.8,
    ),
    "Q3": Style(
        True, (52, 66), "ballad", ("block", "pads"), "sparse", ("guide", "guide"),
        register=65, bass=34, velocity=40,
    ),
    "Q4": Style(
        False, (62, 80), "ballad", ("broken", "broken"), "lyrical", ("guide", "thirds"),
        register=76, bass=43, velocity=52, pedal=True,
    ),
}

GENRE_STYLES = {
    "pop": Style(
        False, (84, 110), "pop", ("anthem", "broken"), "syncopated", ("guide", "thirds"),
        register=70, bass=36, velocity=70,
    ),
    "rock": Style(
        None, (116, 144), "rock", ("drive", "pulse"), "dotted", ("guide", "fills"),
        register=67, bass=31, velocity=94,
    ),
    "jazz": Style(
        None, (110, 150), "jazz", ("walking", "walking"), "swinging", ("fills", "guide"),
        register=72, bass=36, velocity=76, swing=0.66, touch=0.85,
    ),
    "country": Style(
        False, (92, 120), "classical", ("country", "stride"), "flowing", ("thirds", "fills"),
        register=74, bass=40, velocity=58, touch=0.85,
    ),
    "latin": Style(
        True, (92, 116), "pop", ("habanera", "habanera"), "lyrical", ("fills", "thirds"),
        register=69, bass=36, velocity=82,
    ),
}

CLASSICAL_STYLES = {
    "sonata": Style(
        None, (96, 126), "classical", ("alberti", "broken"), "running", ("fills", "thirds"),
        register=76, bass=43, velocity=72, touch=0.85,
    ),
}
# fmt: on

STYLES = COMPOSER_STYLES | EMOTION_STYLES | GENRE_STYLES | CLASSICAL_STYLES

# Phrases of four bars by the number of them: i introduction, o ending, C the one that may modulate.
FORMS = {
    4: ("AABA", "AABC"),
    6: ("iAABAo", "AABACA", "iAABCo"),
    8: ("iAABACAo", "iABABCAo", "AABACCBA"),
    10: ("iAABACCBAo", "iAABBACAAo", "iABABCCABo"),
}
