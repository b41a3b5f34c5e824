"""Bytes of a MIDI file -> song.

Malformed files are repaired first (`legal_midi`), except those of the paper's corpora, which
miditoolkit, the original's parser, reads as they are.
"""

import codecs
import importlib.util
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from io import BytesIO
from itertools import chain
from operator import attrgetter
from pathlib import Path

import mido
import numpy as np
from miditoolkit import MidiFile

from m2bert.base.errors import UserError
from m2bert.notes.drums import drum_instruments
from m2bert.notes.events import note_events, played_events
from m2bert.notes.midi_repair import LAST_TICK, NOT_COUNTED, legal_midi
from m2bert.notes.midi_symusic import read_with_symusic
from m2bert.notes.skipped import NO_USABLE_NOTES, UNREADABLE, RejectedSong, in_words
from m2bert.notes.song import Notes, Song, Track, in_order, one_line

SYMUSIC = "symusic==0.6.0"  # optional

NEVER_ENDED = "begun but never ended in the file"


def read_with_mido(path: Path, data: bytes) -> Song:
    """The song in a legal file. Raises `RejectedSong` if it cannot be read or has no notes."""
    try:
        file = mido.MidiFile(file=BytesIO(data))
    except Exception as error:  # of any kind, for damaged files
        raise RejectedSong(UNREADABLE, "it is not legal MIDI") from error
    events = played_events(file)
    if events[-1].tick > LAST_TICK:
        raise RejectedSong(UNREADABLE, f"it lasts longer than {LAST_TICK:,} ticks")
    found = note_events(events)
    if not len(found.begin):
        raise _no_notes(found.unended)
    tick = np.array([event.tick for event in events])
    struck = [events[place].message for place in found.begin.tolist()]
    _, first = np.unique(found.instrument, return_index=True)
    names = tuple(map(decoded, found.names))
    drums = drum_instruments(events, found, names)
    tracks = zip(names, found.program[first].tolist(), drums, strict=True)
    return Song(
        path,
        Notes(
            start=tick[found.begin],
            end=tick[found.end],
            pitch=np.array([message.note for message in struck]),
            velocity=np.array([message.velocity for message in struck]),
            track=found.instrument,
            ticks_per_beat=file.ticks_per_beat,
            time_signatures=tuple(
                (message.numerator, message.denominator, tick)
                for tick, _, _, message in events
                if message.type == "time_signature"
            ),
        ),
        tracks=tuple(Track(*track) for track in tracks),
        tempos=tuple(
            (tick, mido.tempo2bpm(message.tempo))
            for tick, _, _, message in events
            if message.type == "set_tempo"
        ),
        omitted={NEVER_ENDED: found.unended} if found.unended else {},
    )


def _symusic_or_mido(path: Path, data: bytes) -> Song:
    """Read with symusic what it reads as miditoolkit does, the rest with mido."""
    song = None
    with suppress(Exception):  # symusic raises errors of any kind
        song = read_with_symusic(path, data)
    return song or read_with_mido(path, data)


# By the name of the library; they get legal bytes.
READERS: dict[str, Callable[[Path, bytes], Song]] = {
    "mido": read_with_mido,
    "symusic": _symusic_or_mido,
}


def check_reader(reader: str) -> None:
    """Raise `UserError` if the library of one of `READERS` is not installed."""
    if importlib.util.find_spec(reader) is None:
        raise UserError(f"{reader} is not installed: pip install {SYMUSIC}")


def read_midi(path: Path, data: bytes, reader: str, as_published: bool) -> Song:
    """Read the bytes of a MIDI file; arguments and errors as in `reader.read_song`."""
    legal = legal_midi(data)
    if not as_published or legal.data == data:
        return replace(READERS[reader](path, legal.data), defects=legal.defects)
    try:
        song = read_with_miditoolkit(path, data)
    except RejectedSong as rejection:
        if rejection.reason != UNREADABLE or not legal.defects:
            raise
        detail = f"{rejection.detail}: {in_words(legal.defects)}"
        raise RejectedSong(UNREADABLE, detail) from rejection
    counted = {kind: n for kind, n in legal.defects.items() if kind == NOT_COUNTED}
    return replace(song, defects=counted)


def read_with_miditoolkit(path: Path, data: bytes) -> Song:
    """A malformed file as the original reads it; its tempos are not read."""
    try:
        midi = MidiFile(file=BytesIO(data))
    except Exception as error:  # as above
        raise RejectedSong(UNREADABLE, "it is not legal MIDI") from error
    if midi.max_tick > LAST_TICK + 1:
        raise RejectedSong(UNREADABLE, f"it lasts longer than {LAST_TICK:,} ticks")
    lengths = [len(instrument.notes) for instrument in midi.instruments]
    if not any(lengths):
        raise _no_notes(0)
    notes = chain.from_iterable(instrument.notes for instrument in midi.instruments)
    fields = chain.from_iterable(map(attrgetter("start", "end", "pitch", "velocity"), notes))
    table = np.fromiter(fields, np.int64, 4 * sum(lengths)).reshape(-1, 4)
    signatures = [
        (change.numerator, change.denominator, change.time)
        for change in midi.time_signature_changes
    ]
    return Song(
        path,
        Notes(*in_order(table.T, lengths), midi.ticks_per_beat, tuple(signatures)),
        tracks=tuple(
            Track(decoded(track.name), int(track.program), track.is_drum)
            for track in midi.instruments
        ),
        tempos=(),
    )


def _no_notes(begun: int) -> RejectedSong:
    detail = f"{begun:,} begin and none of them ends" if begun else "it has no notes"
    return RejectedSong(NO_USABLE_NOTES, detail)


def decoded(text: str) -> str:
    """Text of a MIDI file, whose bytes were taken for Latin-1 but may be UTF-8, or UTF-16 with its
    byte order mark. Control characters become spaces."""
    data = text.encode("latin-1")
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        text = data.decode("utf-16", "replace")
    else:
        with suppress(UnicodeDecodeError):
            text = data.decode("utf-8-sig")
    return one_line(text)
