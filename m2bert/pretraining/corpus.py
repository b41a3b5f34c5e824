"""Corpora on disk: all songs of a corpus one after another, memory-mapped.

NAME.npy           CP notes, uint8 (notes, 4)
NAME.offsets.npy   int64 (songs + 1): song i is notes[offsets[i]:offsets[i + 1]]
NAME.json          counts, the songs' source files in order, skipped files with the reasons
"""

import mmap
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from m2bert.base.errors import UserError
from m2bert.base.files import read_json
from m2bert.notes.cp import FIELDS, ORDINARY_SIZES
from m2bert.notes.object_arrays import is_pickled
from m2bert.notes.published_songs import read_songs
from m2bert.pretraining.corpus_writer import PARTS, write_corpus

PAPERS_CORPORA = {"pop909", "emopia", "pianist8", "pop1k7", "ASAP", "lmd"}
"""Their files are read as the original reads them, and their songs stay in the published split."""

_REBUILD = "rebuild it with `python -m data_creation.prepare_pretrain --dataset NAME --overwrite`"


@dataclass(frozen=True)
class Corpus:
    """An open corpus: notes uint8 (notes, 4), memory-mapped, and offsets int64 (songs + 1). Worker
    processes open it for themselves."""

    folder: Path
    name: str
    notes: np.ndarray
    offsets: np.ndarray

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def song(self, index: int) -> np.ndarray:
        """CP notes of one song, uint8 (notes of the song, 4), not copied."""
        return self.notes[self.offsets[index] : self.offsets[index + 1]]

    def release(self) -> None:
        """Release the memory pages of what was read; arrays of `song` stay valid."""
        array = self.notes.base
        assert array is not None  # of which the notes are a view (`_map_array`)
        mapping: object = array.base
        assert isinstance(mapping, mmap.mmap)
        mapping.madvise(mmap.MADV_DONTNEED)

    def song_names(self) -> list[str]:
        """The source files of the songs, in order, relative to the data set's folder."""
        path = self.folder / f"{self.name}.json"
        names = read_json(path).get("files")
        if not isinstance(names, list) or len(names) != len(self):
            raise UserError(f"{path} does not list the {len(self)} songs; {_REBUILD}")
        return names

    def __reduce__(self) -> tuple:
        return open_flat, (self.folder, self.name)


def open_corpus(data_root: Path | str, name: str) -> Corpus:
    """Open the corpus `name` in `data_root`. A published `NAME.npy` (a pickled array of lists) is
    converted once, to `data_root/flat`. Raises `UserError` if it is missing or damaged; notes are
    not checked.
    """
    data_root = Path(data_root)
    path = data_root / f"{name}.npy"
    if not path.exists():
        raise UserError(
            f"there is no corpus {name}, as there is no {path}; {data_root} has "
            f"{', '.join(corpora_in(data_root)) or 'none'}: name those to use with --datasets, or "
            "make it with `python -m data_creation.prepare_pretrain`"
        )
    if not path.with_suffix(".json").exists() and is_pickled(path):
        return _open_published(path)
    return open_flat(data_root, name)


def corpora_in(data_root: Path) -> list[str]:
    return sorted(path.stem for path in data_root.glob("*.npy") if "." not in path.stem)


def open_flat(folder: Path | str, name: str) -> Corpus:
    """Open the three files of a corpus. Raises `UserError` for one that is missing or damaged."""
    folder = Path(folder)
    notes_path, offsets_path, json_path = (folder / f"{name}{part}" for part in PARTS)
    if not json_path.exists():
        raise UserError(f"{notes_path} is incomplete: {json_path} is missing; {_REBUILD}")
    notes = _map_array(notes_path, np.uint8, "uint8 (notes, 4)", (4,))
    offsets = np.array(_map_array(offsets_path, np.int64, "int64 (songs + 1)", ()))
    if len(offsets) < 2 or offsets[0] != 0 or (np.diff(offsets) <= 0).any():
        raise UserError(f"{offsets_path} does not contain rising offsets from 0; {_REBUILD}")
    if offsets[-1] != len(notes):
        raise UserError(
            f"{offsets_path} ends at note {offsets[-1]}, {notes_path} at note {len(notes)}: "
            f"the files do not belong together; {_REBUILD}"
        )
    return Corpus(folder, name, notes, offsets)


def check_notes(notes: np.ndarray, where: str) -> None:
    """Raise `UserError`, with `where` in it, if CP notes (..., 4) have ids that are special."""
    sizes = np.array(ORDINARY_SIZES, np.uint8)
    # one column at a time: five times as fast as comparing rows of four
    largest = np.array([notes[..., column].max(initial=0) for column in range(len(FIELDS))])
    if (largest >= sizes).any():
        row, column = np.argwhere((notes >= sizes).reshape(-1, 4))[0]
        raise UserError(
            f"{where} contains {FIELDS[column]} {notes.reshape(-1, 4)[row, column]} at note {row}, "
            f"outside 0..{ORDINARY_SIZES[column] - 1}: the file is damaged"
        )


def _map_array(path: Path, dtype: type, expected: str, row_shape: tuple[int, ...]) -> np.ndarray:
    """Memory-map an array (n, *row_shape) read-only, as a plain array: its slices are faster."""
    try:
        array = np.lib.format.open_memmap(path, mode="r")  # never unpickles
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"{path} is missing or damaged; {_REBUILD}") from error
    is_expected = array.dtype == dtype and array.ndim == 1 + len(row_shape)
    if not is_expected or array.shape[1:] != row_shape or not array.flags.c_contiguous:
        raise UserError(
            f"{path} contains {array.dtype} {array.shape} instead of {expected}; {_REBUILD}"
        )
    return array.view(np.ndarray)


def _open_published(path: Path) -> Corpus:
    folder, name = path.parent / "flat", path.stem
    status = path.stat()
    inputs = f"{path.name}, {status.st_size} bytes, changed at {status.st_mtime_ns} ns"
    json_path = folder / f"{name}.json"
    if not json_path.exists() or read_json(json_path).get("inputs") != inputs:
        print(f"{path} is in the published form: converting it once, to {folder}")
        with write_corpus(folder, name, inputs, overwrite=True) as writer:
            for index, song in enumerate(tqdm(read_songs(path), name, unit=" songs", disable=None)):
                check_notes(song, f"{path}, song {index},")
                if len(song):
                    writer.add(str(index), song)
                else:
                    writer.skip(str(index), "no notes")
            if not writer.files:
                raise UserError(f"{path} contains no song with notes")
    return open_flat(folder, name)
