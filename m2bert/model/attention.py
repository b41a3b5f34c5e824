"""Attention of the encoder on torch's own kernels, local layers in blocks.

A local layer lets a note see the notes at most `reach` away. Masked full attention would compute
every pair of notes and throw most away; here the queries of a block of notes meet the keys of that
block and of its two neighbours alone. Dropout, padding and gradients are those of the full form.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface

NAME = "m2bert_blocks"
"""The name under which transformers knows this attention."""


def attention_masks(length: int, real: Tensor | None, reach: int, device: torch.device) -> dict:
    """The masks of global and local layers, True where attention is allowed.

    length: notes of a segment; real: (batch, notes) bool, the notes that may be attended to, None
    means all; reach: how far a local layer sees to either side.

    They are made here because transformers' own would ask the device whether there is any padding,
    which makes the host wait at every step. Every note may attend to itself: padding far from any
    real note would have no key otherwise, and its result, which nothing reads, would be NaN. Where
    blocks save work the local mask is that of `block_attention`.
    """
    if real is None:
        keys, rows = None, torch.ones(1, length, dtype=torch.bool, device=device)
    else:
        keys, rows = real[:, None, None, :], real
    local = block_mask(rows, reach) if blocks_save_work(length, reach) else band_mask(rows, reach)
    return {"full_attention": keys, "sliding_attention": local}


def blocks_save_work(length: int, reach: int) -> bool:
    """Whether three blocks of `reach` notes are fewer than all notes."""
    return length > 3 * reach


def band_mask(real: Tensor, reach: int) -> Tensor:
    """(rows, notes) bool -> the mask of full attention, (rows, 1, notes, notes) bool."""
    place = torch.arange(real.shape[1], device=real.device)
    distance = (place[:, None] - place).abs()
    return ((distance <= reach) & real[:, None, None, :]) | (distance == 0)


def block_mask(real: Tensor, reach: int) -> Tensor:
    """(rows, notes) bool -> which keys of three blocks each query may see, (rows, blocks, 1, reach,
    3 reach) bool."""
    query = torch.arange(reach, device=real.device)
    key = torch.arange(3 * reach, device=real.device) - reach
    distance = (query[:, None] - key).abs()
    keys = _three_blocks(real[:, None, :, None], reach)  # rows 1 blocks 3r 1
    allowed = (distance <= reach) & keys.squeeze(-1).transpose(1, 2)[..., None, :]
    return allowed | (distance == 0)


def attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **_: object,
) -> tuple[Tensor, None]:
    """What transformers calls in every layer: (batch, heads, notes, width) each -> (batch, notes,
    heads, width). A mask of five dimensions asks for blocks."""
    if attention_mask is not None and attention_mask.ndim == 5:
        attended = block_attention(query, key, value, attention_mask, dropout, scaling)
    else:
        attended = F.scaled_dot_product_attention(
            query, key, value, attention_mask, dropout, scale=scaling
        )
    return attended.transpose(1, 2), None


def block_attention(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor, dropout: float, scale: float | None
) -> Tensor:
    """Local attention, (batch, heads, notes, width), with a mask of `block_mask`."""
    batch, heads, notes, width = query.shape
    blocks, reach = mask.shape[1], mask.shape[3]
    query = F.pad(query, (0, 0, 0, -notes % reach)).view(batch, heads, blocks, reach, width)
    key, value = _three_blocks(key, reach), _three_blocks(value, reach)
    # blocks become rows of a batch
    query, key, value = (t.transpose(1, 2).flatten(0, 1) for t in (query, key, value))
    mask = mask.expand(batch, -1, -1, -1, -1).flatten(0, 1)
    attended = F.scaled_dot_product_attention(query, key, value, mask, dropout, scale=scale)
    attended = attended.unflatten(0, (batch, blocks)).transpose(1, 2)
    return attended.reshape(batch, heads, blocks * reach, width)[:, :, :notes]


def _three_blocks(x: Tensor, reach: int) -> Tensor:
    """(rows, heads, notes, width) -> every block of `reach` notes with its neighbours, (rows,
    heads, blocks, 3 reach, width); before the first note and after the last there are zeros."""
    padded = F.pad(x, (0, 0, reach, reach + -x.shape[2] % reach))
    return padded.unfold(2, 3 * reach, reach).transpose(-1, -2)


AttentionInterface.register(NAME, attend)


def _no_mask_of_transformers(*_: object, **__: object) -> None:
    raise RuntimeError("masks are made by m2bert.model.attention.attention_masks")


# Without an entry transformers would drop a padding mask in silence where it makes one itself.
AttentionMaskInterface.register(NAME, _no_mask_of_transformers)
