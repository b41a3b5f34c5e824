"""Local attention, note by note."""

import torch


def reference_local_attention(query, key, value, real, reach):
    """A loop over notes: each looks at the real notes within reach, and at itself."""
    out = torch.zeros_like(query)
    for row in range(query.shape[0]):
        for i in range(query.shape[2]):
            distance = (torch.arange(query.shape[2]) - i).abs()
            seen = (distance == 0) | ((distance <= reach) & real[row])
            for head in range(query.shape[1]):
                scores = key[row, head, seen] @ query[row, head, i]
                out[row, head, i] = torch.softmax(scores, 0) @ value[row, head, seen]
    return out
