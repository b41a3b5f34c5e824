"""Whether a MIDI file is legal by the standard, and the repair of malformed ones, which parsers
reject or read each in its own way (docs/METHOD.md, "Malformed files")."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from m2bert.base.files import placeholder_in
from m2bert.notes.skipped import SEVERAL_PIECES, UNREADABLE, RejectedSong, Tallies

# Keys of `Tallies`
BEFORE_HEADER = "bytes before the header"
NOT_COUNTED = "tracks not counted in the header"
MISSING = "tracks that the header counts and that are not there"
UNKNOWN_CHUNKS = "chunks of an unknown kind"
WRONG_LENGTHS = "tracks of a wrong length"
EMPTY_TRACKS = "tracks without events"
OVER_127 = "values over 127"
IMPOSSIBLE = "events that are not allowed or have impossible values"
CUT_SHORT = "tracks cut short"
SECOND_FILE = "another MIDI file after this one"

LAST_TICK = 2**31 - 1
"""No event may be later, so that times fit in the 32 bits that programs give them."""

LONGEST_DELTA = 2**28 - 1
"""Ticks between two events, in the four bytes that the standard allows."""

_HEADER_BYTES = 14
_END_OF_TRACK = b"\xff\x2f\x00"

_EMPTY_TEXT = b"\xff\x01\x00"

_DELTA = rb"[\x80-\xff]{0,3}+[\x00-\x7f]"


def _channel_events(one_value: bytes, two_values: bytes) -> bytes:
    """Pattern of events with these statuses, by how many values they have; running status too."""
    pattern = rb"(?:[%s][\x00-\x7f]{2}(?:%s[\x00-\x7f]{2})*+|[%s][\x00-\x7f](?:%s[\x00-\x7f])*+)"
    return pattern % (two_values, _DELTA, one_value, _DELTA)


_CHANNEL_EVENTS = _channel_events(rb"\xc0-\xdf", rb"\x80-\xbf\xe0-\xef")
_SHORT_META_EVENTS = (  # sequence number, channel, port, tempo, SMPTE offset, time signature, key
    rb"\xff(?:\x00\x02..|\x20\x01[\x00-\x0f]|\x21\x01.|\x51\x03(?!\0\0\0)..."
    rb"|\x54\x05[\x00-\x7f][\x00-\x3b]{2}[\x00-\x1d][\x00-\x63]"
    rb"|\x58\x04[\x01-\xff][\x00-\x07]..|\x59\x02[\xf9-\xff\x00-\x07][\x00\x01])"
)
# text, data of a program's own; whole system messages
_OTHER_EVENTS = (
    rb"\xff[\x01-\x07\x09\x7f]%(delta)s.*"
    rb"|\xf0%(delta)s[\x00-\x7f]*\xf7" % {b"delta": _DELTA}
)
_META_EVENTS = b"\0\1\2\3\4\5\6\7\x09\x20\x21\x2f\x51\x54\x58\x59\x7f"
_ORDINARY_EVENTS = re.compile(
    rb"(?:%s(?:%s|%s))*+" % (_DELTA, _CHANNEL_EVENTS, _SHORT_META_EVENTS), re.DOTALL
)
_LEGAL_EVENT = re.compile(rb"%s|%s" % (_SHORT_META_EVENTS, _OTHER_EVENTS), re.DOTALL)
# of a track without texts: times and what happens on channels; programs before the notes begin
_META_EVENT = rb"(?:%s|%s)" % (_SHORT_META_EVENTS, _EMPTY_TEXT)
_WITHOUT_META_EVENTS = re.compile(
    rb"((?:%s%s)++|%s)%s?" % (_DELTA, _CHANNEL_EVENTS, _DELTA, _META_EVENT), re.DOTALL
)
_PROGRAMS_BEFORE_NOTES = re.compile(
    rb"(?:%(delta)s(?:%(no_notes)s|%(meta)s))*+(?:%(delta)s(?:%(no_programs)s|%(meta)s))*+"
    % {
        b"delta": _DELTA,
        b"meta": _META_EVENT,
        b"no_notes": _channel_events(rb"\xc0-\xdf", rb"\x80-\x8f\xa0-\xbf\xe0-\xef"),
        b"no_programs": _channel_events(rb"\xd0-\xdf", rb"\x80-\xbf\xe0-\xef"),
    },
    re.DOTALL,
)


@dataclass(frozen=True)
class LegalMidi:
    """The bytes of a legal MIDI file, and the defects of the original."""

    data: bytes
    defects: Tallies


def legal_midi(data: bytes) -> LegalMidi:
    """A legal file with the music of `data`; the same bytes if that is one already.

    All tracks are read; lengths are corrected; values over 127 become 127; events that are cut
    short or impossible, chunks of other kinds and tracks without events are omitted.

    Raises `RejectedSong` for what is not a MIDI file, counts time in frames, has a time of more
    than four bytes or beyond `LAST_TICK`, or is several pieces (format 2).
    """
    if is_legal(data):
        return LegalMidi(data, {})
    tallies: Counter[str] = Counter()
    begin = data.find(b"MThd")
    header = data[begin + 8 : begin + _HEADER_BYTES]
    if begin < 0 or len(header) < 6:
        raise RejectedSong(
            UNREADABLE, placeholder_in(data) or "it is neither a MIDI file nor a score"
        )
    if begin > 0:
        tallies[BEFORE_HEADER] += 1
    form, counted, division = (int.from_bytes(header[at : at + 2], "big") for at in (0, 2, 4))
    if division >= 0x8000:
        raise RejectedSong(UNREADABLE, "it counts time in frames, not in beats")
    if division == 0:
        raise RejectedSong(UNREADABLE, "its beats have 0 ticks")
    found = list(_tracks(data, begin + 8 + _number_at(data, begin + 4, 4), tallies))
    if not any(found):
        raise RejectedSong(UNREADABLE, "it has no tracks with events")
    if form == 2 and len(found) > 1:
        raise RejectedSong(
            SEVERAL_PIECES,
            f"it has {len(found)} sequences that do not belong together (MIDI format 2): save "
            "each as a file of its own",
        )
    if len(found) != counted:
        tallies[NOT_COUNTED if len(found) > counted else MISSING] += abs(len(found) - counted)
    tracks = [track for track in found if track]
    tallies[EMPTY_TRACKS] += len(found) - len(tracks)
    numbers = (int(form != 0 or len(tracks) > 1), len(tracks), division)
    head = b"".join(number.to_bytes(2, "big") for number in numbers)
    chunks = [_chunk(b"MThd", head), *(_chunk(b"MTrk", track) for track in tracks)]
    return LegalMidi(b"".join(chunks), dict(+tallies))


def is_legal(data: bytes) -> bool:
    """Whether a file is one piece in legal bytes, which all parsers read alike."""
    form, counted, division = (_number_at(data, at, 2) for at in (8, 10, 12))
    if data[:8] != b"MThd\0\0\0\6" or form > 1 or not 0 < division < 0x8000:
        return False
    chunks = track_chunks(data)
    return (
        len(chunks) == counted > 0
        and (form == 1 or counted == 1)
        and _HEADER_BYTES + sum(map(len, chunks)) == len(data)
        and all(_is_legal_track(chunk) for chunk in chunks)
    )


def track_chunks(data: bytes) -> list[bytes]:
    """The chunks of a legal file's tracks, with names and lengths."""
    chunks, at = [], _HEADER_BYTES
    while data[at : at + 4] == b"MTrk":
        end = at + 8 + _number_at(data, at + 4, 4)
        if end > len(data):
            break
        chunks.append(data[at:end])
        at = end
    return chunks


def channel_bytes(chunk: bytes) -> bytes:
    """The bytes of a legal track without meta events and system messages, with all times."""
    return b"".join(_WITHOUT_META_EVENTS.findall(_without_texts(chunk)))


def has_programs_before_notes(chunk: bytes) -> bool:
    """Whether no program of a legal track changes after its first note begins."""
    return _PROGRAMS_BEFORE_NOTES.fullmatch(_without_texts(chunk)) is not None


def _is_legal_track(chunk: bytes) -> bool:
    try:
        return all(_LEGAL_EVENT.fullmatch(chunk, *place) for place in _other_events(chunk))
    except (_CutShortError, RejectedSong):
        return False


def _without_texts(chunk: bytes) -> bytes:
    """The events of a legal track; texts and system messages, and its end, are empty texts."""
    parts, at = [], 8
    for begin, end in _other_events(chunk):
        parts.append(chunk[at:begin])
        at = end
    return _EMPTY_TEXT.join([*parts, chunk[at : -len(_END_OF_TRACK)], b""])


def _other_events(chunk: bytes) -> Iterable[tuple[int, int]]:
    """Yield where each event begins and ends, except ordinary ones and the end of the track."""
    at, end = 8, len(chunk)
    while True:
        ordinary = _ORDINARY_EVENTS.match(chunk, at, end)
        assert ordinary is not None  # it may be of no event
        _, begin = _variable_number(chunk, ordinary.end(), end)
        if chunk[begin:end] == _END_OF_TRACK:
            return
        at = _end_of_event(chunk, begin, end)
        yield begin, at


class _CutShortError(Exception):
    """The bytes end within an event."""


def _tracks(data: bytes, at: int, tallies: Counter[str]) -> Iterable[bytes]:
    """Yield the events of each track from `at` on as legal bytes; none of an empty one."""
    while at + 8 <= len(data):
        name, begin = data[at : at + 4], at + 8
        end = begin + _number_at(data, at + 4, 4)
        if name == b"MTrk":
            is_whole = _ends_at(data, end)
            track, at = _track(data, begin, end if is_whole else len(data), is_whole, tallies)
            yield b"" if is_whole and end == begin else track
            if is_whole and data[at : at + 4] != b"MTrk":
                at = end
        elif name == b"MThd":
            tallies[SECOND_FILE] += 1
            return
        elif _is_chunk(data, at) and end <= len(data):
            tallies[UNKNOWN_CHUNKS] += 1
            at = end
        else:
            at = data.find(b"MTrk", at + 1) % (len(data) + 1)  # the end, if there is none


def _track(
    data: bytes, at: int, end: int, is_whole: bool, tallies: Counter[str]
) -> tuple[bytes, int]:
    """The events of a track as legal bytes, and where it ends: at `end` if `is_whole`."""
    events: list[tuple[int, bytes]] = []
    tick = running = 0
    try:
        while at < end:
            delta, at = _variable_number(data, at, end)
            tick += delta
            if tick > LAST_TICK:
                raise RejectedSong(UNREADABLE, f"it lasts longer than {LAST_TICK:,} ticks")
            status = _bytes_of(data, at, 1, end)[0]
            if status < 0x80:
                status = running
                if not running:
                    raise _CutShortError
            else:
                at += 1
            if status < 0xF0:
                running = status
                values = _bytes_of(data, at, 1 if 0xC0 <= status < 0xE0 else 2, end)
                at += len(values)
                tallies[OVER_127] += sum(value > 127 for value in values)
                events.append((tick, bytes([status, *(min(value, 127) for value in values)])))
                continue
            begin, at = at - 1, _end_of_event(data, at - 1, end)
            event = data[begin:at]
            if event[:2] == _END_OF_TRACK[:2]:
                # what follows is music of careless programs, padding or the next track
                rest = data[at:end]
                if not is_whole or rest[:4] == b"MTrk" or not rest.strip(b"\0"):
                    tallies[WRONG_LENGTHS] += not is_whole or rest[:4] == b"MTrk"
                    return _joined(events), at
            elif _LEGAL_EVENT.fullmatch(event):
                events.append((tick, event))
            else:
                # miditoolkit would lose the time before meta events of other kinds
                tallies[IMPOSSIBLE] += event[0] != 0xFF or event[1] in _META_EVENTS
        tallies[CUT_SHORT] += not is_whole
    except _CutShortError:
        tallies[CUT_SHORT] += 1
    return _joined(events), end if is_whole else at


def _end_of_event(data: bytes, at: int, end: int) -> int:
    """Where the meta event or system message at `at` ends."""
    status = _bytes_of(data, at, 1, end)[0]
    if status in (0xF0, 0xF7, 0xFF):
        size, at = _variable_number(data, at + 1 + (status == 0xFF), end)
    else:  # not allowed in files
        size, at = {0xF1: 1, 0xF2: 2, 0xF3: 1}.get(status, 0), at + 1
    return at + len(_bytes_of(data, at, size, end))


def _joined(events: Iterable[tuple[int, bytes]]) -> bytes:
    """The bytes of a track with these events at these ticks."""
    track, now = bytearray(), 0
    for tick, event in events:
        while tick - now > LONGEST_DELTA:  # where an event between two was omitted
            track += _variable_bytes(LONGEST_DELTA) + _EMPTY_TEXT
            now += LONGEST_DELTA
        track += _variable_bytes(tick - now) + event
        now = tick
    return bytes(track + b"\0" + _END_OF_TRACK)


def _ends_at(data: bytes, end: int) -> bool:
    """Whether a track ends at `end`, as its length gives."""
    at_end_of_track = data[end - len(_END_OF_TRACK) : end] == _END_OF_TRACK
    return end == len(data) or _is_chunk(data, end) or (end < len(data) and at_end_of_track)


def _is_chunk(data: bytes, at: int) -> bool:
    return data[at : at + 4].isalnum() and at + 8 <= len(data)


def _chunk(name: bytes, data: bytes) -> bytes:
    return name + len(data).to_bytes(4, "big") + data


def _number_at(data: bytes, at: int, size: int) -> int:
    return int.from_bytes(data[at : at + size], "big")


def _bytes_of(data: bytes, at: int, size: int, end: int) -> bytes:
    if at + size > end:
        raise _CutShortError
    return data[at : at + size]


def _variable_number(data: bytes, at: int, end: int) -> tuple[int, int]:
    """The number of seven bits a byte at `at`, and where it ends."""
    value = 0
    for place in range(at, at + 4):
        byte = _bytes_of(data, place, 1, end)[0]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, place + 1
    raise RejectedSong(UNREADABLE, "a time or length in it has more than four bytes: not MIDI")


def _variable_bytes(value: int) -> bytes:
    groups = [value & 0x7F]
    while value := value >> 7:
        groups.append(value & 0x7F | 0x80)
    return bytes(reversed(groups))
