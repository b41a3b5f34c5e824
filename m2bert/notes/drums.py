"""Which instruments of a MIDI file are drums.

In General MIDI those on channel 10. A file can state otherwise: by bank select (GM2, XG), by a
system exclusive message (GS, XG), by an MPE zone, or by the name of a track.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

import numpy as np

from m2bert.notes.events import Event, NoteEvents

DRUM_CHANNEL = 9

GM2_DRUMS, GM2_MELODIC, XG_DRUMS = 120, 121, (126, 127)
"""Values of bank select (MSB). To a GS device 126 and 127 are the melodic sounds of older ones."""

PERCUSSIVE_PROGRAMS = {0, *range(112, 120)} - {114}
"""Programs of a track named as drums that do not contradict its name: that of a track without a
program change, and the percussive ones of General MIDI, except steel drums, which have pitches."""

_BANK_SELECT, _DATA_ENTRY, _RPN_LOW, _RPN_HIGH = 0, 6, 100, 101
_MPE_ZONE = (0, 6)
"""The registered parameter whose value is the number of member channels."""
_LOWER_MASTER, _UPPER_MASTER = 0, 15


def _plain(text: str) -> str:
    """Text in small letters without accents."""
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return "".join(letter for letter in decomposed if not unicodedata.combining(letter))


# a dot is a letter that symusic misreads where the name is not UTF-8
_WORDS = (
    "drums? drumkits? drumsets? drumstel drummer kit perc percs percussions? kick snare hi-?hats? "
    "batteries? batteria bater.a percussioni percusi.n percuss.o schlagzeug schlagwerk perkussion "
    "trommeln? slagwerk slagverk trummor trommer slagt.j perkusja bici rummut davul "
    "ударные барабаны перкуссия"
)
_PARTS_OF_WORDS = "ドラム パーカッション 打楽器 鼓 打击乐 打擊樂 드럼 타악기"
_DRUM_NAME = re.compile(
    rf"(?<![^\W\d_])(?:{'|'.join(map(_plain, _WORDS.split()))})(?![^\W\d_])"
    rf"|{'|'.join(map(_plain, _PARTS_OF_WORDS.split()))}"
)

_RUN = rb"(?:[\x00-\x7f]{2}[\x80-\xff]{0,3}+[\x00-\x7f])*?"  # earlier events of a running status
_SIGNS = re.compile(
    rb"[\xb0-\xb8\xba-\xbf]%(run)s\x00[\x78\x7e\x7f]|\xb9%(run)s\x00\x79|[\xb0-\xbf]%(run)s\x64\x06"
    rb"|\xf0[\x00-\x7f](?:\x41.\x42\x12\x40[\x10-\x1f]\x15|\x43[\x10-\x1f]\x4c\x08.\x07)"
    % {b"run": _RUN},
    re.DOTALL,
)


def may_state_drums(data: bytes) -> bool:
    """Whether a MIDI file may have drums on other channels than 10, by anything but names; with
    false positives."""
    return _SIGNS.search(data) is not None


def is_named_drums(name: str) -> bool:
    """Whether a track's name means drums, in one of some languages; "Steel Drums" does not."""
    plain = _plain(name)
    return _DRUM_NAME.search(plain) is not None and "steel" not in plain


def drum_instruments(
    events: Sequence[Event], found: NoteEvents, names: Sequence[str]
) -> list[bool]:
    """Whether each instrument of a file is drums when its first note begins.

    names: of the instruments' tracks, decoded. A name counts where the track plays on a single
    channel and its program does not contradict it, unless all instruments would be drums: then it
    may be the title of the piece.
    """
    _, first = np.unique(found.instrument, return_index=True)
    places = found.begin[first].tolist()
    at = [(events[place].track, events[place].message.channel) for place in places]
    spread = _spread_tracks(events, found)
    drums = [
        stated and not (channel == DRUM_CHANNEL and track in spread)
        for stated, (track, channel) in zip(_stated(events, places), at, strict=True)
    ]
    channels = Counter(track for track, _ in set(at))
    named = [
        is_named_drums(name) and program in PERCUSSIVE_PROGRAMS and channels[track] == 1
        for name, program, (track, _) in zip(names, found.program[first].tolist(), at, strict=True)
    ]
    either = [one or other for one, other in zip(drums, named, strict=True)]
    return drums if all(either) else either


def _stated(events: Sequence[Event], places: Sequence[int]) -> list[bool]:
    """Whether the channels of the notes at `places` play drums, by the events before each."""
    wanted, found, states = set(places), {}, _States()
    for place, (_, _, port, message) in enumerate(events):
        if place in wanted:
            found[place] = states.is_drum(port, message.channel)
        elif message.type == "sysex":
            states.hear_sysex(port, message.data)
        elif message.type == "control_change":
            states.hear_control(port, message.channel, message.control, message.value)
    return [found[place] for place in places]


class _States:
    """What the events so far state of each port and channel.

    A bank counts from its selection; the program change that devices wait for may be missing.
    """

    def __init__(self) -> None:
        self.bank: dict[tuple[int, int], int] = {}
        self.is_rhythm_part: dict[tuple[int, int], bool] = {}
        self.parameter: dict[tuple[int, int, int], int] = {}
        self.zone: dict[tuple[int, int], range] = {}
        self.is_gs = False

    def is_drum(self, port: int, channel: int) -> bool:
        bank = self.bank.get((port, channel))
        if bank == GM2_DRUMS or (bank in XG_DRUMS and not self.is_gs):
            return True
        masters = (_LOWER_MASTER, _UPPER_MASTER)
        in_zone = any(channel in self.zone.get((port, master), ()) for master in masters)
        if bank == GM2_MELODIC or in_zone:
            return False
        return self.is_rhythm_part.get((port, channel), channel == DRUM_CHANNEL)

    def hear_sysex(self, port: int, data: Sequence[int]) -> None:
        """A message of GS or XG can make a part one for drums, or not."""
        if data[:1] == (0x41,) and data[2:4] == (0x42, 0x12):
            self.is_gs = True
            if data[4:5] == (0x40,) and len(data) > 7 and (data[5] >> 4, data[6]) == (1, 0x15):
                part = data[5] & 15  # of 10, 1, ..., 9, 11, ..., 16
                channel = part if part > 9 else (part - 1) % 10
                self.is_rhythm_part[port, channel] = data[7] > 0
        elif data[:1] == (0x43,) and data[2:4] == (0x4C, 0x08) and len(data) > 6 and data[5] == 7:
            self.is_rhythm_part[port, data[4]] = data[6] > 0

    def hear_control(self, port: int, channel: int, control: int, value: int) -> None:
        if control == _BANK_SELECT:
            self.bank[port, channel] = value
        elif control in (_RPN_LOW, _RPN_HIGH):
            self.parameter[port, channel, control] = value
        elif control == _DATA_ENTRY:
            chosen = tuple(self.parameter.get((port, channel, n)) for n in (_RPN_HIGH, _RPN_LOW))
            members = {_LOWER_MASTER: range(1, value + 1), _UPPER_MASTER: range(15 - value, 15)}
            if chosen == _MPE_ZONE and channel in members:
                self.zone[port, channel] = members[channel]


def _spread_tracks(events: Sequence[Event], found: NoteEvents) -> set[int]:
    """The tracks of MPE devices without the message that declares it: with notes on channel 10 and
    at least two others of 2 to 16, a single program, bends on all of them, and never two notes at
    once on channel 10."""
    bent = {(e.track, e.message.channel) for e in events if e.message.type == "pitchwheel"}
    notes: dict[int, dict[int, list[int]]] = {}
    for note, place in enumerate(found.begin.tolist()):
        event = events[place]
        notes.setdefault(event.track, {}).setdefault(event.message.channel, []).append(note)
    spread = set()
    for track, of_channel in notes.items():
        members = of_channel.keys() - {_LOWER_MASTER}
        if DRUM_CHANNEL not in members or len(members) < 3:
            continue
        own = np.concatenate([of_channel[channel] for channel in members])
        on_ten = np.sort(of_channel[DRUM_CHANNEL])
        order = on_ten[np.argsort(found.begin[on_ten])]
        is_monophonic = (found.end[order][:-1] < found.begin[order][1:]).all()
        is_bent = all((track, channel) in bent for channel in members)
        if is_bent and is_monophonic and len(np.unique(found.program[own])) == 1:
            spread.add(track)
    return spread
