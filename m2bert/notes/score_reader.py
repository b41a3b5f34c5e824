"""Text of a score -> song, by partitura, an optional install (docs/METHOD.md, "Reading scores")."""

import math
import tempfile
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import partitura
from lxml import etree
from partitura.score import Tempo, TimeSignature, Transposition
from partitura.utils.music import to_quarter_tempo

from m2bert.notes.cp import BEATS_PER_BAR, TICKS_PER_BEAT
from m2bert.notes.midi_repair import LAST_TICK
from m2bert.notes.score_formats import ScoreText
from m2bert.notes.score_xml import first_tempo, parse_xml, prepare_musicxml, programs_of
from m2bert.notes.skipped import NO_USABLE_NOTES, UNREADABLE, RejectedSong
from m2bert.notes.song import Bars, Notes, Song, Track, in_order, one_line

VELOCITY = 64
"""Of all notes of a score: the MIDI standard's, where nothing is known."""

MOST_TICKS, USUAL_TICKS = 32767, 10080
"""The most ticks per quarter note that a MIDI file can have, and those of scores that would need
more: 32nds, triplets, quintuplets and septuplets are whole numbers of them."""

UNPITCHED = "percussion without a pitch"


class ReadScore(NamedTuple):
    """partitura's parts; by their ids the General MIDI program and whether it is drums; the number
    of notes without a pitch."""

    parts: list[Any]
    programs: dict[str, tuple[int, bool]]
    unpitched: int = 0


def read_score(path: Path, score: ScoreText) -> Song:
    """Read a score: notes as they sound, tied notes as one, repeats not unfolded.

    Raises `RejectedSong` if partitura cannot read it or it has no pitched notes.
    """
    name, read = FORMATS[score.format]
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(action="ignore"):
        try:
            return _song(path, read(score.data, Path(folder) / "score"))
        except RejectedSong:
            raise
        except Exception as error:  # partitura raises errors of any kind for damaged files
            detail = f"it is damaged, or {name} of a kind that is not supported"
            raise RejectedSong(UNREADABLE, detail) from error


def _read_musicxml(data: bytes, file: Path) -> ReadScore:
    root = parse_xml(data)
    programs, unpitched = programs_of(root), prepare_musicxml(root)
    file.write_bytes(etree.tostring(root))
    return ReadScore(list(partitura.load_musicxml(file).parts), programs, unpitched)


def _read_mei(data: bytes, file: Path) -> ReadScore:
    root = parse_xml(data)
    file.write_bytes(etree.tostring(root))
    parts = list(partitura.load_mei(str(file)).parts)
    if tempo := first_tempo(root):  # which partitura does not read
        parts[0].add(Tempo(tempo), 0)
    return ReadScore(parts, {})


def _read_kern(data: bytes, file: Path) -> ReadScore:
    file.write_bytes(data)
    return ReadScore(list(partitura.load_kern(str(file)).parts), {})


FORMATS = {
    "musicxml": ("MusicXML", _read_musicxml),
    "mei": ("MEI", _read_mei),
    "kern": ("Humdrum", _read_kern),
}
"""The name of each format of `ScoreText`, and what reads it; `file` is a place for partitura."""


def _song(path: Path, read: ReadScore) -> Song:
    parts = [part for part in read.parts if part.notes_tied]
    if not parts:
        detail = "it has percussion alone" if read.unpitched else "it has no notes"
        raise RejectedSong(NO_USABLE_NOTES, detail)
    clock = _clock(parts)
    notes, tempos = _notes(parts, clock), _tempos(parts, clock)
    if notes.end.max() > LAST_TICK:
        raise RejectedSong(UNREADABLE, f"it lasts longer than {LAST_TICK:,} ticks")
    tracks = tuple(
        Track(one_line(part.part_name or ""), *read.programs.get(part.id, (0, False)))
        for part in parts
    )
    return Song(
        path,
        notes,
        tracks,
        tempos,
        measures=_measures(parts, clock),
        omitted={UNPITCHED: read.unpitched} if read.unpitched else {},
    )


class _Clock(NamedTuple):
    """Ticks per quarter note, and the quarter notes of silence before the music."""

    resolution: int
    silence: float

    def ticks(self, part: Any, times: Any) -> np.ndarray:
        """Times in a part, (...) -> ticks, int64 of the same shape."""
        quarters = self.silence + _quarters(part, times)
        return np.rint(quarters * self.resolution).astype(np.int64)


def _clock(parts: list[Any]) -> _Clock:
    """The first downbeat begins a bar of CP notes, all times are whole ticks, and a quarter note
    has a multiple of 480 of them if possible."""
    pickup = -min(float(part.quarter_map(0)) for part in parts)  # it lies before quarter 0
    silence = -pickup % BEATS_PER_BAR
    divisions = math.lcm(*(int(d) for part in parts for _, d in part.quarter_durations()))
    if divisions < 2**32:
        times = [_quarters(part, _spans(part)).ravel() for part in parts]
        exact = np.rint(np.concatenate([[silence], *times]) * divisions).astype(np.int64)
        needed = divisions // math.gcd(divisions, int(np.gcd.reduce(exact)))
        for resolution in (math.lcm(needed, TICKS_PER_BEAT), needed):
            if resolution <= MOST_TICKS:
                return _Clock(resolution, silence)
    return _Clock(USUAL_TICKS, silence)


def _quarters(part: Any, times: Any) -> np.ndarray:
    """Times of partitura -> quarter notes from the beginning, float64 of the same shape."""
    return part.quarter_map(np.asarray(times)) - part.quarter_map(0)


def _spans(part: Any) -> np.ndarray:
    """When the notes of a part begin and end, (notes, 2), in partitura's times."""
    return np.array([(note.start.t, note.end_tied.t) for note in part.notes_tied])


def _notes(parts: list[Any], clock: _Clock) -> Notes:
    columns = [
        np.stack([*clock.ticks(part, _spans(part)).T, pitch, np.full_like(pitch, VELOCITY)])
        for part in parts
        for pitch in [_pitches(part)]
    ]
    found = _timed(parts, clock, TimeSignature)
    signatures = sorted({(tick, signature.beats, signature.beat_type) for tick, signature in found})
    # some scores repeat the one that holds already
    changes = [s for at, s in enumerate(signatures) if not at or s[1:] != signatures[at - 1][1:]]
    return Notes(
        *in_order(np.concatenate(columns, axis=1), [column.shape[1] for column in columns]),
        ticks_per_beat=clock.resolution,
        time_signatures=tuple((beats, beat_type, tick) for tick, beats, beat_type in changes),
    )


def _tempos(parts: list[Any], clock: _Clock) -> tuple[tuple[int, float], ...]:
    """As in `Song`; the tempo at the beginning also holds in the silence before it."""
    begin = clock.ticks(parts[0], 0)
    found = [(tick, tempo) for tick, tempo in _timed(parts, clock, Tempo) if tempo.bpm > 0]
    tempos = {
        (0 if tick == begin else tick, to_quarter_tempo(tempo.unit or "q", tempo.bpm))
        for tick, tempo in found
    }
    return tuple(sorted(tempos))


def _timed(parts: list[Any], clock: _Clock, kind: type) -> list[tuple[int, Any]]:
    """The objects of a kind in all parts, which mostly repeat each other, and their ticks."""
    return [
        (int(clock.ticks(part, found.start.t)), found)
        for part in parts
        for found in part.iter_all(kind)
    ]


def _measures(parts: list[Any], clock: _Clock) -> Bars:
    """The measures of the part with most, and their numbers in the file."""
    part = max(parts, key=lambda part: len(part.measures))
    measures = [m for m in part.measures if m.end.t > m.start.t]  # kern ends with an empty one
    names = [str(measure.number if measure.name is None else measure.name) for measure in measures]
    if len(names) > 1 and measures[0].name is None and names[1].isdigit():
        names[0] = str(int(names[1]) - 1)  # the first has none in kern
    return Bars(clock.ticks(part, [measure.start.t for measure in measures]), tuple(names))


def _pitches(part: Any) -> np.ndarray:
    """The sounding MIDI pitches of `notes_tied`, int64: as written, and transposed."""
    notes = part.notes_tied
    written = np.array([note.midi_pitch for note in notes])
    found = sorted((t.start.t, t.chromatic or 0) for t in part.iter_all(Transposition))
    begins, semitones = zip((-1, 0), *found, strict=True)
    held = np.searchsorted(begins, [note.start.t for note in notes], side="right") - 1
    return np.clip(written + np.array(semitones)[held], 0, 127)
