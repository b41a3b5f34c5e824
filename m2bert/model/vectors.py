"""Songs -> vectors of pieces, bars or notes: means of the states of an encoder's layer.

A song is read in windows of 1024 notes that overlap. If two windows hold a note, the one in which
it is nearer to the middle counts more (`windows.window_weights`). The vector of a piece or bar is a
mean over its notes: a weighted sum of states, which is added up on the device window by window.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from m2bert.base.devices import usual_batch_size
from m2bert.model.config import LAST_LAYER, check_index_layer
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

if TYPE_CHECKING:  # which imports this module
    from m2bert.model.encoder import M2BertModel

# Songs are taken together until they have so many windows: enough for batches of windows of like
# lengths, few enough for a vector a note (400 MB with the paper's model).
WINDOWS_AT_ONCE = 256


def embed_songs(
    model: "M2BertModel",
    songs: Iterable[np.ndarray],
    level: str = "piece",
    index_layer: int = LAST_LAYER,
    *,
    stride: int = STRIDE,
    batch_size: int | None = None,
    precision: str = "fp32",
    progress: Callable[[int], object] = lambda windows: None,
) -> Iterator[np.ndarray]:
    """Yield the vectors of each song, (vectors, hidden_size) float32, in the order of the songs.

    One vector for the "piece", one for each "bar", or one for each "note" (`level`, of `LEVELS`).
    songs: CP notes (notes, 4). index_layer: as in fine-tuning. batch_size: windows computed at a
    time (2 on a CPU, else 32), which changes nothing but speed. progress: is told of every batch
    how many windows it had.

    Windows of many songs are sorted by length, so that little padding is computed. Memory does not
    grow with the number of songs. The model computes on the device where it is, and is left in
    evaluation mode. Raises `ValueError` for CP notes, a level, a layer or a stride that cannot be.
    """
    if level not in LEVELS:
        raise ValueError(f"level {level!r} is none of {', '.join(LEVELS)}")
    check_index_layer(model.config, index_layer)
    check_stride(stride)
    model.eval()
    device = next(model.parameters()).device
    batch_size = batch_size or usual_batch_size(device)
    for group in _groups(songs, stride):
        units = [LEVELS[level](notes) for notes in group]
        ends = np.cumsum([unit[-1] + 1 for unit in units])
        windows = _windows_of(group, units, [0, *ends[:-1]], stride)
        vectors = torch.zeros(ends[-1], model.config.hidden_size, device=device)
        by_length = np.argsort(-windows[0], kind="stable")
        for begin in range(0, len(by_length), batch_size):
            rows = by_length[begin : begin + batch_size]
            _add_batch(vectors, model, windows, rows, index_layer, precision)
            progress(len(rows))
        yield from np.split(vectors.cpu().numpy(), ends[:-1])


def _groups(songs: Iterable[np.ndarray], stride: int) -> Iterator[list[np.ndarray]]:
    group: list[np.ndarray] = []
    windows = 0
    for notes in songs:
        _check(notes)
        group.append(notes)
        windows += len(window_starts(len(notes), WINDOW, stride))
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
    songs: list[np.ndarray], units: list[np.ndarray], first: list[int], stride: int
) -> list[np.ndarray]:
    """The windows of some songs, and the vectors that they are part of. Four arrays:

    lengths: how many of its notes are no padding, (windows,) int64.
    notes: CP notes, (windows, WINDOW, 4) uint8, padded at the end.
    vector: the number of each note's vector, (windows, WINDOW) int64.
    weight: the share of the note's state in that vector, (windows, WINDOW) float32.
    """
    parts = []
    for notes, unit, begin in zip(songs, units, first, strict=True):
        count = len(notes)
        starts = window_starts(count, WINDOW, stride)
        place = np.minimum(starts[:, None] + np.arange(WINDOW), count - 1)
        share = window_weights(starts, WINDOW, count) / np.bincount(unit)[unit][place]
        lengths = np.minimum(count - starts, WINDOW)
        weight = share.astype(np.float32)
        parts.append((lengths, cut_windows(notes, starts, WINDOW), begin + unit[place], weight))
    return [np.concatenate(arrays) for arrays in zip(*parts, strict=True)]


@torch.inference_mode()
def _add_batch(
    vectors: Tensor,
    model: "M2BertModel",
    windows: list[np.ndarray],
    rows: np.ndarray,
    index_layer: int,
    precision: str,
) -> None:
    """Add to `vectors` what some windows give. The batch ends with its longest window."""
    lengths, *of_notes = windows
    longest = lengths[rows].max()
    notes, vector, weight = (
        torch.from_numpy(array[rows, :longest]).to(vectors.device) for array in of_notes
    )
    real = real_notes(notes) if lengths[rows].min() < longest else None
    with torch.autocast(vectors.device.type, dtype=torch.bfloat16, enabled=precision == "bf16"):
        states = model.layer_states(notes, real, index_layer)
    vectors.index_add_(0, vector.flatten(), (weight[..., None] * states.float()).flatten(0, 1))
