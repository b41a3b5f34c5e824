"""Which notes an epoch of pre-training reads: songs -> segments -> batches of uint8 notes.

Everything random is a function of (seed, epoch, place in the epoch): the number of worker
processes or of GPUs changes nothing, and a run can resume at any step (docs/METHOD.md, "Training").
"""

import signal
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from m2bert.base.errors import UserError
from m2bert.base.stop import SIGNALS
from m2bert.base.workers import end_with_parent
from m2bert.notes.cp import BAR_NEW, PAD
from m2bert.pretraining.corpus import PAPERS_CORPORA, Corpus, check_notes

TRAIN_FRACTION = 0.85
NOTES_PER_DRAW = 512
MOST_NOTES_COUNTED = 512_000
VALIDATION_EPOCH = 0
"""Validation is drawn once, as if it were this epoch; training epochs count from 1."""

CHECKED_AT_ONCE = 1 << 18
SONGS_READ_AT_ONCE = 256

DRAW = np.dtype([(name, np.int64) for name in ("song", "start", "length", "key")])
"""A segment: a song (index into `Songs`), its notes start .. start + length - 1, and the segment's
own random key, from which it is corrupted."""

ROUNDED_TO = 64
"""Lengths of batches and numbers of bars are multiples of this, so that there are few shapes."""


class Songs:
    """The songs of several corpora as one list, in the order of the corpora."""

    def __init__(self, corpora: list[Corpus]):
        self.corpora = corpora
        self.lengths = np.concatenate([np.diff(c.offsets) for c in corpora])
        """Notes of each song, (songs,) int64."""
        self._first = np.cumsum([0] + [len(c) for c in corpora])

    def __len__(self) -> int:
        return len(self.lengths)

    def locate(self, song: int) -> tuple[Corpus, int]:
        """The corpus of `song`, and the song's index there."""
        which = int(np.searchsorted(self._first, song, side="right")) - 1
        return self.corpora[which], int(song - self._first[which])

    def excluded(self, names: set[str]) -> np.ndarray:
        """Mark the songs in `names`, each FILE or CORPUS/FILE as in a corpus's JSON: (songs,) bool.

        Raises `UserError` for a name of no song or of several.
        """
        named: dict[str, list[int]] = {name: [] for name in sorted(names)}
        files = ((c.name, file) for c in self.corpora for file in c.song_names())
        for song, (corpus, file) in enumerate(files):
            for name in names & {file, f"{corpus}/{file}"}:
                named[name].append(song)
        for name, songs in named.items():
            if len(songs) != 1:
                found = f"{len(songs)} songs have" if songs else "no song has"
                raise UserError(
                    f"{found} the name {name}, which is to be excluded: use the names in NAME.json "
                    "of the corpora, and CORPUS/FILE if two corpora have one name"
                )
        return np.isin(np.arange(len(self)), list(named.values()))

    def checksums(self) -> np.ndarray:
        """A checksum of the notes of each song, (songs,) uint64."""
        found = bytearray()
        for corpus in self.corpora:
            for index in range(len(corpus)):
                found += blake2b(corpus.song(index).data, digest_size=8).digest()
                if index % SONGS_READ_AT_ONCE == 0:
                    corpus.release()
            corpus.release()
        return np.frombuffer(found, np.uint64)

    def are_papers(self) -> np.ndarray:
        """Mark the songs of the paper's corpora, (songs,) bool."""
        papers = [corpus.name in PAPERS_CORPORA for corpus in self.corpora]
        return np.repeat(papers, [len(corpus) for corpus in self.corpora])

    def check(self) -> None:
        for corpus in self.corpora:
            for start in range(0, len(corpus.notes), CHECKED_AT_ONCE):
                notes = corpus.notes[start : start + CHECKED_AT_ONCE]
                check_notes(notes, f"{corpus.folder / corpus.name}.npy (from note {start})")
                corpus.release()


def read_names(path: Path) -> set[str]:
    """Read a list of source files, one per line."""
    try:
        text = path.read_text(encoding="utf-8-sig")  # some editors write a byte order mark
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"the list of songs {path} is missing or not UTF-8 text") from error
    return {line.strip() for line in text.splitlines() if line.strip()}


def split_songs(songs: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Shuffle song numbers and split them into training (the first 85 %) and validation."""
    shuffled = _generator(seed, "split").permutation(songs)
    count = int(TRAIN_FRACTION * len(songs))
    return shuffled[:count], shuffled[count:]


def join_copies(
    train: np.ndarray, valid: np.ndarray, checksums: np.ndarray, stays: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Move songs so that copies of one song are all in training or all in validation.

    train, valid: song numbers; checksums and stays: (songs,), by song number. Copies (songs with
    the same checksum) go to the side of the one with the lowest number, of those marked in `stays`
    if there are any: these do not move. The order stays.
    """
    songs = np.concatenate([train, valid])
    in_train = np.arange(len(songs)) < len(train)
    side: dict[int, bool] = {}
    for place in np.lexsort((songs, ~stays[songs])):
        side.setdefault(int(checksums[songs[place]]), bool(in_train[place]))
    wanted = np.array([side[int(checksum)] for checksum in checksums[songs]], bool)
    goes = np.where(stays[songs], in_train, wanted)
    return songs[goes], songs[~goes]


def draw_segments(
    songs: np.ndarray, lengths: np.ndarray, max_seq_len: int, seed: int, epoch: int, shuffle: bool
) -> np.ndarray:
    """Draw the segments of one epoch by the rule of docs/METHOD.md, "Training".

    songs: song numbers; lengths: notes of each of them. Returns the segments, (segments,) `DRAW`.
    """
    generator = _generator(seed, "train" if shuffle else "valid", epoch)
    times = -(-np.minimum(lengths, MOST_NOTES_COUNTED) // NOTES_PER_DRAW)
    song, notes = np.repeat(songs, times), np.repeat(lengths, times)
    if shuffle:
        order = generator.permutation(len(song))
        song, notes = song[order], notes[order]
    start = generator.integers(0, np.maximum(notes - max_seq_len, 1))
    key = generator.integers(0, 2**63 - 1, len(song))
    columns = [song, start, np.minimum(notes, max_seq_len), key]
    return np.rec.fromarrays(columns, dtype=DRAW)


def _generator(seed: int, purpose: str, epoch: int = 0) -> np.random.Generator:
    return np.random.default_rng([seed, epoch, *purpose.encode()])


class Batches(Dataset):
    """One process's rows of every batch of an epoch; item i is step i, a dict of

    - notes: (rows, length, 4) uint8, padded at the end
    - keys: (rows,) int64
    - counted: (rows,) bool, False for the rows that fill up the last batch
    - padded: whether there is any padding
    - bars: at least the greatest number of token bars of a row
    - selected, real: how many notes of the *global* batch are selected for corruption, and are not
      padding
    """

    def __init__(
        self,
        songs: Songs,
        draws: np.ndarray,
        batch_size: int,
        max_seq_len: int,
        mask_percent: float,
        rows: np.ndarray | None = None,
        filled_to: int | None = None,
    ):
        """batch_size: segments of a global batch; rows: which of them are this process's, all by
        default; filled_to: the last batch is filled up to a multiple of this, by default to
        `batch_size`."""
        self.songs, self.draws, self.batch_size = songs, draws, batch_size
        self.max_seq_len, self.mask_percent = max_seq_len, mask_percent
        self.rows = np.arange(batch_size) if rows is None else rows
        self.filled_to = filled_to or batch_size

    def __len__(self) -> int:
        return -(-len(self.draws) // self.batch_size)

    def draws_of(self, step: int) -> np.ndarray:
        """The segments of a step's global batch, (segments,) `DRAW`."""
        return self.draws[step * self.batch_size : (step + 1) * self.batch_size]

    def __getitem__(self, step: int) -> dict:
        draws = self.draws_of(step)
        # Rows that fill up the last batch repeat its first segment and are not counted.
        rows = self.rows[self.rows < _round_up(len(draws), self.filled_to)]
        counted = rows < len(draws)
        filled = draws[np.where(counted, rows, 0)]
        length = min(_round_up(draws["length"].max()), self.max_seq_len)
        notes = self._read(filled, length)
        bars = (notes[..., 0] == BAR_NEW).sum(1).max() + 1
        return {
            "notes": torch.from_numpy(notes),
            "keys": torch.from_numpy(filled["key"].copy()),
            "counted": torch.from_numpy(counted),
            "padded": bool(draws["length"].min() < length),
            "bars": _round_up(bars),
            "selected": float(np.rint(self.mask_percent * draws["length"]).sum()),
            "real": float(draws["length"].sum()),
        }

    def _read(self, draws: np.ndarray, length: int) -> np.ndarray:
        notes = np.tile(np.array(PAD, np.uint8), (len(draws), length, 1))
        for row, (song, start, count, _) in zip(notes, draws.tolist(), strict=True):
            corpus, index = self.songs.locate(song)
            row[:count] = corpus.song(index)[start : start + count]
        for corpus in self.songs.corpora:
            corpus.release()
        return notes


def _round_up(count: int, multiple: int = ROUNDED_TO) -> int:
    return int(-(-count // multiple) * multiple)


def load_batches(batches: Batches, first: int, workers: int, pin_memory: bool) -> Iterator[dict]:
    """Read the batches from step `first` on, ahead of time in `workers` background processes."""
    loader: DataLoader = DataLoader(
        batches,
        batch_size=None,
        sampler=range(first, len(batches)),
        num_workers=workers,
        pin_memory=pin_memory,
        worker_init_fn=_depend_on_the_parent,
    )
    return iter(loader)


def _depend_on_the_parent(_worker: int) -> None:
    """Ignore Ctrl-C and a scheduler's SIGTERM, which reach all processes, until the last step. By
    the fork server of Python 3.14, PyTorch itself would not notice that the parent was killed."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    end_with_parent()
