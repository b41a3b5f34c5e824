"""Miniature sources of the benchmark."""

import pickle
from io import BytesIO
from pathlib import Path

import numpy as np
from miditoolkit import Instrument, MidiFile, Note, TempoChange
from openpyxl import Workbook

from data_creation.benchmark.sources import tnua
from tests.helpers.midi_files import write_midi
from tests.helpers.scores import attributes, musicxml, note


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def write_bps_motif(folder: Path) -> None:
    """32 movements in 3/4 with a pickup; the first note of each is of a motif."""
    workbook, book = Workbook(), BytesIO()
    for downbeat in (0, 3, 6):
        workbook.active.append([downbeat])
    workbook.save(book)
    for number in range(1, 33):
        rows = [
            "onset,midi_number,morphetic_number,duration,staff_number,measure,type",
            "-1.0,60,60,1.0,0,0,a",
            "0.0,62,61,1.5,0,1,",
            "4.5,64,62,3.0,0,2,",
            "5,1,1,0,0,2,a",
        ]
        write(folder / f"notes/{number:02d}-1.csv", "\n".join(rows))
        downbeats = folder / f"downbeats/{number}/dBeats.xlsx"
        downbeats.parent.mkdir(parents=True)
        downbeats.write_bytes(book.getvalue())


def write_orch(folder: Path) -> None:
    """11 movements of two instruments and two bars of 3/4; the second instrument has a melody in
    the second bar."""
    rows = ["midi,annot_npy"]
    (folder / "midi").mkdir(parents=True, exist_ok=True)
    roles = np.zeros((2, 2, 3), bool)
    roles[1, 1, 0] = True
    midi = MidiFile(ticks_per_beat=480)
    midi.instruments = [Instrument(track, False, f"i{track}") for track in range(2)]
    for instrument in midi.instruments:
        instrument.notes = [Note(64, 60, 0, 480), Note(64, 62, 1440, 2880)]
    for number in range(11):
        midi.dump(folder / f"midi/p{number}.mid")
        np.save(folder / f"midi/p{number}.npy", roles)
        write(folder / f"dbeats/p{number}.csv", "onset\n0.0\n3.0\n")
        rows.append(f"./midi/p{number}.mid,./midi/p{number}.npy")
    write(folder / "new_metadata.csv", "\n".join(rows))


def write_augnet(folder: Path) -> None:
    """A piece per split: a pickup of a quarter, a tie over a bar line, a grace note."""
    start, stop = '<tie type="start"/>', '<tie type="stop"/>'
    score = musicxml(
        [
            attributes(beats=3) + note("G", 4, 2),
            note("C", 4, 2) + note("D", 4, 4, start),
            note("D", 4, 2, stop) + note("A", 4, 0, "grace") + note("E", 4, 4),
        ],
        first=0,
    )
    rows = ["\tfile\tannotation\tscore\tcollection\tsplit"]
    for index, split in enumerate(("training", "validation", "test")):
        rows.append(f"{index}\tp{index}\tx\traw/p{index}.musicxml\tc\t{split}")
        write(folder / f"scores/raw/p{index}.musicxml", score.decode())
        table = ["j_offset\ts_measure\ta_root\ta_localKey"]
        for eighth in range(14):
            offset = eighth / 2
            measure = 0 if offset < 1 else 1 if offset < 4 else 2
            table.append(f"{offset}\t{measure}.0\t{'C' if offset < 4 else 'G'}\tc")
        write(folder / f"dataset/{split}/p{index}.tsv", "\n".join(table))
    write(folder / "dataset/dataset_summary.tsv", "\n".join(rows))


def write_pm2s(folder: Path) -> None:
    """A performance per split, with a beat at 0.02 s, too early for the original."""
    rows = ["performance_id,piece_id,source,split"]
    notes = np.array(
        [[60, 0.02, 0.5, 64], [64, 0.52, 0.5, 64], [62, 0.52, 0.5, 64], [65, 0.8, 0.5, 1]]
    )
    beats = {"beats": np.array([0.02, 0.5, 1.0]), "downbeats": np.array([0.02])}
    folder.mkdir(parents=True, exist_ok=True)
    for split in ("train", "valid", "test"):
        rows.append(f"R_{split},1,x,{split}")
        (folder / f"R_{split}.pkl").write_bytes(pickle.dumps((notes, beats), protocol=4))
    write(folder / "metadata.csv", "\n".join(rows))


def write_tnua(folder: Path) -> None:
    rows = ["pitch,start,duration,beat_type,string,position,finger"]
    rows += ["62,-0.25,0.25,5,1,3,2", "62,0.0,0.75,4,1,0,1", "64,0.5,0.25,5,0,0,0"]
    for piece in tnua.pieces(folder):
        write(folder / piece.files[0], "\n".join(rows))


def write_tagatraum(folder: Path) -> None:
    for part in ("train", "valid", "test"):
        for genre in range(5):
            for number in range(3):
                write_midi(folder / f"{part}_clean/{genre}/{number}.mid")


def write_pop909(folder: Path, song: str, tempo: float = 120.0, meter: int = 4) -> Path:
    """A song of three tracks, its beats half a second apart, the first a downbeat."""
    midi = MidiFile(ticks_per_beat=480)
    midi.tempo_changes = [TempoChange(tempo, 0)]
    midi.instruments = [Instrument(0, False, name) for name in ("MELODY", "BRIDGE", "PIANO")]
    for track in midi.instruments:
        track.notes = [Note(60 + i, 60 + i, 480 * (i + 1), 480 * (i + 1) + 240) for i in range(8)]
    (folder / song).mkdir(parents=True, exist_ok=True)
    midi.dump(folder / song / f"{song}.mid")
    beats = range(24)
    audio = "".join(f"{0.5 * (beat + 1)}\t{beat % meter + 1}.0\n" for beat in beats)
    write(folder / song / "beat_audio.txt", audio)
    downs = [float(beat % meter == 0) for beat in beats]
    rows = (f"{0.5 * (beat + 1)} {down} {down}\n" for beat, down in zip(beats, downs, strict=True))
    write(folder / song / "beat_midi.txt", "".join(rows))
    return folder / song
