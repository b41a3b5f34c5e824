"""Vectors of a song, window by window and note by note."""

import numpy as np
import torch

from m2bert.model.config import LAST_LAYER
from m2bert.model.encoder import M2BertModel
from m2bert.notes.windows import WINDOW


@torch.no_grad()
def reference_vectors(
    model: M2BertModel, notes: np.ndarray, level: str, index_layer: int, stride: int
) -> np.ndarray:
    model.eval()
    sums, weights = np.zeros((len(notes), model.config.hidden_size)), np.zeros((len(notes), 1))
    begin = 0
    while True:
        window = torch.from_numpy(notes[begin : begin + WINDOW])[None]
        states = model.hidden_states(window)[index_layer - LAST_LAYER - 1][0].numpy()
        for place, state in enumerate(states):
            weight = min(place + 1, WINDOW - place)
            sums[begin + place] += weight * state
            weights[begin + place] += weight
        if begin + WINDOW >= len(notes):
            break
        begin += stride
    merged = sums / weights
    if level == "note":
        return merged
    opens = np.flatnonzero(notes[1:, 0] == 0) + 1 if level == "bar" else []
    return np.array([unit.mean(0) for unit in np.split(merged, opens)])
