"""Songs -> vectors of pieces, bars or notes: means of the states of an encoder's layer.

A song is read in windows of 1024 notes that overlap. If two windows hold a note, the one in which
it is nearer to the middle counts more (`windows.window_weights`). The vector of a piece or bar is a
mean over its notes: a weighted sum of states, which is added up on the device window by window.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from m2bert.base.devices import usual_batch_size
from m2bert.model.config import LAST_LAYER, check_index_layer
from m2bert.model.transposition import check_transpositions, moved_notes, possible_shifts
from m2bert.notes.cp import ORDINARY_SIZES, real_notes
from m2bert.notes.levels import LEVELS
from m2bert.notes.windows import (
    STRIDE,
    WINDOW,
    check_stride,
    cut_windows,
    window_starts,
    window_weights,
)

# Songs are grouped until they have so many windows: enough for batches of windows of similar
# lengths, few enough for one vector per note (400 MB with the paper's model).
WINDOWS_AT_ONCE = 256


def embed(
    model: Any,
    music: Any,
    level: str = "piece",
    index_layer: int = LAST_LAYER,
    transpositions: int = 1,
) -> Any:
    """The vectors of a song, float32: (hidden_size,) for the "piece", (bars, hidden_size) for each
    "bar", (notes, hidden_size) for each "note"; or a list of those of several songs.

    music: the path of a MIDI file or score, an object of pretty_midi, miditoolkit, mido or symusic,
    CP notes (notes, 4), or a list of these. Others, and errors, as in `embed_songs`; also raises
    `UserError` for a file that cannot be used.
    """
    # here, as training does without MIDI libraries
    from m2bert.notes.midi_objects import song_of
    from m2bert.notes.tokens import cp_notes_of

    several = isinstance(music, list | tuple)
    songs = music if several else [music]
    notes = [s if isinstance(s, np.ndarray) else cp_notes_of(song_of(s)) for s in songs]
    found = list(embed_songs(model, notes, level, index_layer, transpositions=transpositions))
    if level == "piece":
        found = [vector for (vector,) in found]
    return found if several else found[0]


def embed_songs(
    model: Any,
    songs: Iterable[np.ndarray],
    level: str = "piece",
    index_layer: int = LAST_LAYER,
    *,
    stride: int = STRIDE,
    transpositions: int = 1,
    batch_size: int | None = None,
    precision: str = "fp32",
    progress: Callable[[int], object] = lambda windows: None,
) -> Iterator[np.ndarray]:
    """Yield the vectors of each song, (vectors, hidden_size) float32, in the order of the songs.

    model: an `encoder.M2BertModel`, which is left in evaluation mode. songs: CP notes (notes, 4).
    level: a vector for the "piece", each "bar" or each "note" (`LEVELS`). index_layer: as in
    fine-tuning. transpositions: of 12, a vector is the mean over those of a song that are in the
    vocabulary's range, and depends little on the key. batch_size: windows computed at a time (2 on
    a CPU, else 32). progress: is called with the number of windows of every batch.

    Windows of many songs are sorted by length, so that little padding is computed. Memory does not
    grow with the number of songs. Raises `ValueError` for invalid CP notes, levels, layers, strides
    and transpositions.
    """
    if level not in LEVELS:
        raise ValueError(f"level {level!r} is none of {', '.join(LEVELS)}")
    check_index_layer(model.config, index_layer)
    check_stride(stride)
    check_transpositions(transpositions)
    model.eval()
    device = next(model.parameters()).device
    batch_size = batch_size or usual_batch_size(device)
    for group in _groups(songs, stride, transpositions):
        units = [LEVELS[level](notes) for notes in group]
        ends = np.cumsum([unit[-1] + 1 for unit in units])
        windows = _windows_of(group, units, [0, *ends[:-1]], stride, transpositions)
        vectors = torch.zeros(ends[-1], model.config.hidden_size, device=device)
        by_length = np.argsort(-windows[0], kind="stable")
        for begin in range(0, len(by_length), batch_size):
            rows = by_length[begin : begin + batch_size]
            _add_batch(vectors, model, windows, rows, index_layer, precision)
            progress(len(rows))
        yield from np.split(vectors.cpu().numpy(), ends[:-1])


def count_windows(notes: np.ndarray, stride: int, transpositions: int) -> int:
    """The number of windows of a song in all its transpositions."""
    shifts = possible_shifts(notes, transpositions)
    return len(window_starts(len(notes), WINDOW, stride)) * len(shifts)


def _groups(
    songs: Iterable[np.ndarray], stride: int, transpositions: int
) -> Iterator[list[np.ndarray]]:
    group: list[np.ndarray] = []
    windows = 0
    for notes in songs:
        _check(notes)
        group.append(notes)
        windows += count_windows(notes, stride, transpositions)
        if windows >= WINDOWS_AT_ONCE:
            yield group
            group, windows = [], 0
    if group:
        yield group


def _check(notes: np.ndarray) -> None:
    is_table = notes.ndim == 2 and notes.shape[1] == len(ORDINARY_SIZES) and len(notes) > 0
    if not is_table or (notes >= ORDINARY_SIZES).any() or (notes < 0).any():
        raise ValueError(
            f"CP notes are an array (notes, 4) of at least one note, with ids below "
            f"{ORDINARY_SIZES}; this one is {notes.shape}"
        )


def _windows_of(
    songs: list[np.ndarray],
    units: list[np.ndarray],
    first: list[int],
    stride: int,
    transpositions: int,
) -> list[np.ndarray]:
    """The windows of some songs, and the vectors that they are part of. Four arrays:

    lengths: the number of notes without padding, (windows,) int64.
    notes: CP notes, (windows, WINDOW, 4) uint8, padded at the end.
    vector: the index of each note's vector, (windows, WINDOW) int64.
    weight: the weight of the note's state in that vector, (windows, WINDOW) float32.
    """
    parts = []
    for notes, unit, begin in zip(songs, units, first, strict=True):
        count = len(notes)
        starts = window_starts(count, WINDOW, stride)
        place = np.minimum(starts[:, None] + np.arange(WINDOW), count - 1)
        weight = window_weights(starts, WINDOW, count) / np.bincount(unit)[unit][place]
        shifts = possible_shifts(notes, transpositions)
        weight = (weight / len(shifts)).astype(np.float32)
        for semitones in shifts:
            cut = cut_windows(moved_notes(notes, semitones), starts, WINDOW)
            lengths = np.minimum(count - starts, WINDOW)
            parts.append((lengths, cut, begin + unit[place], weight))
    return [np.concatenate(arrays) for arrays in zip(*parts, strict=True)]


@torch.inference_mode()
def _add_batch(
    vectors: Tensor,
    model: Any,
    windows: list[np.ndarray],
    rows: np.ndarray,
    index_layer: int,
    precision: str,
) -> None:
    """Add the states of some windows to `vectors`, in a batch as long as the longest of them."""
    lengths, *of_notes = windows
    longest = lengths[rows].max()
    notes, vector, weight = (
        torch.from_numpy(array[rows, :longest]).to(vectors.device) for array in of_notes
    )
    real = real_notes(notes) if lengths[rows].min() < longest else None
    with torch.autocast(vectors.device.type, dtype=torch.bfloat16, enabled=precision == "bf16"):
        states = model.layer_states(notes, real, index_layer)
    vectors.index_add_(0, vector.flatten(), (weight[..., None] * states.float()).flatten(0, 1))
