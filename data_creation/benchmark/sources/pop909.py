"""POP909, aligned to its beats, which are annotated in seconds (docs/METHOD.md, "POP909")."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from miditoolkit import Instrument, MidiFile, Note, TempoChange, TimeSignature

from data_creation.benchmark.sources.pieces import Piece, Written
from m2bert.base.errors import UserError
from m2bert.base.files import read_json
from m2bert.notes.cp import TICKS_PER_BEAT, TICKS_PER_POSITION
from m2bert.notes.reader import read_song
from m2bert.notes.song import DEFAULT_TEMPO, Song

TRACKS = {"MELODY": "vocal", "BRIDGE": "bridge", "PIANO": "piano"}
"""The tracks of a song, in order, and what they are called in the aligned file."""

PARTS = ("train", "valid", "test", "train_3beat")
_FRACTION_TOLERANCE = 0.03  # of downbeats among the beats
_EARLIEST = 0.1  # seconds before the first beat at which a note counts as on it,
_LASTING = 0.2  # if it is longer than this
_STEADY = 0.05  # seconds by which a beat may differ from that of the tempo


def pieces(folder: Path) -> list[Piece]:
    """The songs with four beats per bar, and those with three in the part train_3beat."""
    splits = read_json(Path(__file__).with_name("pop909_split.json"))  # MIDI-BERT's
    split_of = {song: split for split, songs in splits.items() for song in songs}
    found = []
    for song in sorted(path.name for path in folder.glob("[0-9][0-9][0-9]")):
        files = (f"{song}/{song}.mid", f"{song}/beat_audio.txt", f"{song}/beat_midi.txt")
        try:
            beats_per_bar = meter(*(read_beats(folder / file) for file in files[1:]))
        except (UserError, OSError, ValueError, IndexError):
            beats_per_bar = 4  # reading the song will report the error
        if beats_per_bar:
            part = split_of.get(song, "train") if beats_per_bar == 4 else "train_3beat"
            found.append(Piece(part, song, files))
    return found


def align(folder: Path, piece: Piece) -> list[tuple[str, MidiFile, int]]:
    """Align a song: its file's name, the file, and the number of dropped notes."""
    path, audio, midi = (folder / file for file in piece.files)
    beats = read_beats(audio)
    beats_per_bar = meter(beats, read_beats(midi))
    raw = read_song(path)
    if [track.name for track in raw.tracks] != list(TRACKS):
        raise UserError(f"the tracks of {path.name} are not {', '.join(TRACKS)}")
    if not beats_per_bar or 1 not in beats[:, 1]:
        raise UserError(f"{audio.name} has no downbeat, or no bars of four or three beats")
    first_tick = TICKS_PER_BEAT * (-beats[:, 1].tolist().index(1) % beats_per_bar)
    notes = aligned_notes(raw, beats[:, 0], first_tick)
    if not notes.size:
        raise UserError("no note lies within the annotated beats")

    aligned = MidiFile(ticks_per_beat=TICKS_PER_BEAT)
    aligned.time_signature_changes = [TimeSignature(4, 4, 0)]
    aligned.tempo_changes = list(tempo_changes(beats[:, 0], first_tick))
    aligned.instruments = [Instrument(i, False, name) for i, name in enumerate(TRACKS.values())]
    for track, start, end, pitch, velocity in notes.T.tolist():
        aligned.instruments[track].notes.append(Note(velocity, pitch, start, end))
    dropped = len(raw) - notes.shape[1]
    return [(f"{piece.part}/{piece.name}.mid", aligned, dropped)]


def write(_part: str, songs: list[tuple[str, MidiFile, int]], folder: Path) -> Written:
    """Write the aligned songs of a part."""
    for file, midi, _ in songs:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        midi.dump(folder / file)
    notes = sum(len(track.notes) for _, midi, _ in songs for track in midi.instruments)
    counts = {"songs": len(songs), "notes": notes, "notes dropped": sum(n for *_, n in songs)}
    return [file for file, *_ in songs], counts


def read_beats(path: Path) -> np.ndarray:
    """The rows of a file of beats, two or more: seconds, then other numbers."""
    rows = [line.split() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    if len(rows) < 2:
        raise UserError(f"{path.name} has {len(rows)} beats")
    beats = np.array(rows, float)
    if not (np.diff(beats[:, 0]) > 0).all():
        raise UserError(f"the beats of {path.name} do not ascend")
    return beats


def meter(beats: np.ndarray, midi_beats: np.ndarray) -> int | None:
    """Beats of a bar, 4 or 3, if both files of a song's beats agree on it."""
    highest, (_, of_three, of_four) = beats[:, 1].max(), midi_beats.mean(axis=0)
    if highest == 4 and abs(of_four - 0.25) < _FRACTION_TOLERANCE:
        return 4
    return 3 if highest == 3 and abs(of_three - 0.33) < _FRACTION_TOLERANCE else None


def seconds(song: Song, ticks: np.ndarray) -> np.ndarray:
    """Ticks -> seconds as in the original: at a change of tempo by the tempo before it, and tick 0,
    which has none before it, by the last one."""
    tempos = {0: DEFAULT_TEMPO} | dict(song.tempos)
    change, tempo = (np.array(column) for column in zip(*tempos.items(), strict=True))
    scale = song.notes.ticks_per_beat
    # the order of the operations decides how halves are rounded later
    beat_seconds = 60 / tempo
    lengths = np.diff(change) * beat_seconds[:-1] / scale
    begin = np.concatenate([[0.0], np.cumsum(lengths)])
    segment = np.searchsorted(change, ticks, side="left") - 1
    return begin[segment] + (ticks - change[segment]) * beat_seconds[segment] / scale


def aligned_notes(song: Song, beats: np.ndarray, first_tick: int) -> np.ndarray:
    """Notes on the beats: (5, notes) int64 of track, start, end (ticks of 1/480 beat), pitch,
    velocity, by track, start and falling pitch. beats: in seconds; first_tick: of the first one."""
    notes = song.notes
    start, end = seconds(song, notes.start), seconds(song, notes.end)
    early = beats[0] - start
    kept = (early <= 0) | ((early <= _EARLIEST) & (end - start > _LASTING))
    start = np.maximum(start, beats[0])
    beat_seconds = np.diff(beats, append=2 * beats[-1] - beats[-2])
    # a note exactly on a beat stays in the one before
    beat = np.maximum(np.searchsorted(beats, start, side="left") - 1, 0)
    kept &= start - beats[-1] <= beat_seconds[-1]
    times = np.stack([start - beats[beat], end - start])
    onset, length = TICKS_PER_POSITION * np.rint(4 * times / beat_seconds[beat]).astype(np.int64)
    onset += first_tick + TICKS_PER_BEAT * beat
    kept &= length > 0
    columns = (notes.track, onset, onset + length, notes.pitch, notes.velocity)
    track, onset, offset, pitch, velocity = (column[kept] for column in columns)
    # Of simultaneous notes of one pitch the softest ends first, by the order of the original's
    # writer and the pairing of beginnings and ends in readers of MIDI files.
    order = np.lexsort((velocity, -pitch, onset, track))
    by_end = np.lexsort((offset, -pitch, onset, track))
    return np.stack([track[order], onset[order], offset[by_end], pitch[order], velocity[order]])


def tempo_changes(beats: np.ndarray, first_tick: int) -> Iterator[TempoChange]:
    """The tempos of an aligned file: a new one where the length of a beat changes."""
    yield TempoChange(round(60 / (beats[1] - beats[0]), 2), 0)
    lengths = np.round(np.diff(beats), 2).tolist()
    noted = lengths[0]
    for beat, length in enumerate(lengths[1:], 2):
        if abs(length - noted) > _STEADY:
            noted = length
            yield TempoChange(60 / noted, first_tick + TICKS_PER_BEAT * beat)
