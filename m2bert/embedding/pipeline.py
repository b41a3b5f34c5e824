"""The steps of `python -m m2bert.embed`: find files, read them, embed them, write the vectors."""

import argparse
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any
from zipfile import ZipFile, ZipInfo

import numpy as np
from tqdm import tqdm

from m2bert.base.devices import device_and_precision, enough_memory
from m2bert.base.errors import UserError, show_lines_at_once
from m2bert.base.files import write_json
from m2bert.base.outputs import output_files
from m2bert.model.encoder import M2BertModel
from m2bert.model.folder import ENCODER
from m2bert.model.pretrained import Backbone, choose_model
from m2bert.model.transposition import OCTAVE
from m2bert.model.vectors import count_windows, embed_songs
from m2bert.notes.file_reading import read_files
from m2bert.notes.file_search import collect_music_files
from m2bert.notes.levels import LEVELS
from m2bert.notes.reader import read_song
from m2bert.notes.skipped import count_by_reason, print_defects, print_skipped
from m2bert.notes.tokens import TokenisedSong, tokenise
from m2bert.notes.windows import WINDOW

VECTORS_FORMAT = 1


@dataclass
class Reading:
    """The songs in the files; each list but `skipped` has an entry for each song.

    Attributes:
        level: what a vector is of, one of `LEVELS`.
        songs: facts for the record.
        notes: CP notes, (notes, 4) uint8.
        first_note: index in the file of the first note of each vector, int64.
        onset_beats: the onset of that note in quarter notes, float64.
        skipped: the files without a song, with reasons.
    """

    level: str
    songs: list[dict[str, Any]] = field(default_factory=list)
    notes: list[np.ndarray] = field(default_factory=list)
    first_note: list[np.ndarray] = field(default_factory=list)
    onset_beats: list[np.ndarray] = field(default_factory=list)
    skipped: list[dict[str, str]] = field(default_factory=list)

    def add(self, file: str, song: TokenisedSong) -> None:
        first = np.flatnonzero(np.diff(LEVELS[self.level](song.notes), prepend=-1))
        self.notes.append(song.notes)
        self.first_note.append(song.file_note[first])
        self.onset_beats.append(song.onset_beats[first])
        counts = {"notes": len(song.notes), "vectors": len(first)}
        facts = {"other_meter": song.has_other_meter, "drums": song.has_drums}
        self.songs.append({"file": file} | counts | facts | {"defects": song.defects})

    @property
    def vectors(self) -> np.ndarray:
        """The number of vectors of each song, (songs,) int64."""
        return np.array([song["vectors"] for song in self.songs])


def embed_files(args: argparse.Namespace) -> None:
    """Read the files of a command, embed them, write the vectors and a record of the settings."""
    show_lines_at_once(escape=True)
    files = collect_music_files(args.files)
    device, precision = device_and_precision(args.cpu, args.precision)
    backbone = load_encoder(args.ckpt or ENCODER, args.preset, args.index_layer)
    model, config = backbone.model, backbone.config
    size = f"{config.num_hidden_layers} layers of width {config.hidden_size}"
    print(f"{size}, {backbone.path}; {device.type}, {precision}")
    record_path = args.out.with_suffix(".json")
    names = [args.out.name, record_path.name]
    with output_files(args.out.parent, names, args.overwrite) as temporary:
        reading = tokenise_files(files, args.level, args.num_workers)
        begin = monotonic()
        with enough_memory("a smaller --batch_size needs less, and --cpu computes on the CPU"):
            write_vectors(temporary / args.out.name, reading, model.to(device), args, precision)
        seconds, notes = monotonic() - begin, sum(map(len, reading.notes))
        record = {
            "format_version": VECTORS_FORMAT,
            "model": {
                "path": str(backbone.path),
                "sha256": backbone.sha256,
                "epoch": backbone.epoch,
                "layers": config.num_hidden_layers,
                "width": config.hidden_size,
            },
            "level": args.level,
            "index_layer": args.index_layer,
            "window": WINDOW,
            "stride": args.stride,
            "any_key": args.any_key,
            "precision": precision,
            "seconds": round(seconds, 2),
            "vectors": int(reading.vectors.sum()),
            "notes": notes,
            "files": reading.songs,
            "skipped_by_reason": count_by_reason(reading.skipped),
            "skipped": reading.skipped,
        }
        write_json(temporary / record_path.name, record)
    print(
        f"{record['vectors']:,} vectors of width {config.hidden_size} in {seconds:.1f} s "
        f"({notes / max(seconds, 1e-9):,.0f} notes/s)"
    )
    print(f"written to {args.out} and {record_path} (model, songs, skipped files)")


def load_encoder(ckpt: Path, preset: str | None, index_layer: int) -> Backbone:
    """The encoder of a pre-trained model; as `choose_model`."""
    backbone = choose_model(ckpt, preset, index_layer)[1]
    assert backbone is not None  # there is always a checkpoint here
    return backbone


def tokenise_files(files: list[Path], level: str, workers: int) -> Reading:
    """Read all files in parallel and print counts. Raises `UserError` if none contains a song."""
    reading = Reading(level)
    for file, song in read_files(tokenise_file, files, workers, reading.skipped):
        reading.add(str(file), song)
    print(f"{len(reading.songs):,} songs, {sum(map(len, reading.notes)):,} notes")
    print_defects(song["defects"] for song in reading.songs)
    print_skipped(reading.skipped)
    if not reading.songs:
        raise UserError(f"none of the {len(files)} files is usable")
    for fact, what in {
        "other_meter": "without bars of four quarter notes; they were cut into such bars",
        "drums": "with drums, which were read as pitches",
    }.items():
        if number := sum(song[fact] for song in reading.songs):
            print(f"warning: {number:,} of {len(reading.songs):,} songs are {what}")
    return reading


def tokenise_file(path: Path) -> TokenisedSong:
    """Read a file in a worker process."""
    return tokenise(read_song(path))


def write_vectors(
    path: Path, reading: Reading, model: M2BertModel, args: argparse.Namespace, precision: str
) -> None:
    """Embed the songs and write the npz, one song at a time, for `numpy.load` without pickles. The
    same arrays give the same bytes."""
    counts = reading.vectors
    transpositions = OCTAVE if args.any_key else 1
    windows = sum(count_windows(notes, args.stride, transpositions) for notes in reading.notes)
    others = {
        "files": np.array([song["file"] for song in reading.songs]),
        "offsets": np.concatenate([[0], np.cumsum(counts)]),
        "song": np.repeat(np.arange(len(counts)), counts),
        "note": np.concatenate(reading.first_note),
        "onset_beats": np.concatenate(reading.onset_beats),
    }
    with tqdm(total=windows, desc="embedding", unit=" windows", disable=None) as bar:
        vectors = embed_songs(
            model,
            reading.notes,
            args.level,
            args.index_layer,
            stride=args.stride,
            transpositions=transpositions,
            batch_size=args.batch_size,
            precision=precision,
            progress=bar.update,
        )
        shape = (int(counts.sum()), model.config.hidden_size)
        header = {"descr": "<f4", "fortran_order": False, "shape": shape}
        with ZipFile(path, "w") as file:
            with file.open(ZipInfo("vectors.npy"), "w", force_zip64=True) as member:
                np.lib.format.write_array_header_1_0(member, header)
                for of_song in vectors:
                    member.write(of_song.astype("<f4").tobytes())
            for name, array in others.items():
                with file.open(ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
                    np.lib.format.write_array(member, array, allow_pickle=False)
