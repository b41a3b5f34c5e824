"""Attention of the encoder on torch's own kernels, local layers in blocks.

In a local layer a note attends to the notes at most `reach` away. Here the queries of a block of
notes meet only the keys of that block and of its two neighbours, where masked full attention would
compute all pairs. Dropout, padding and gradients are those of the full form.

On a GPU in bfloat16, FlashAttention has local layers too. They are off until they have been
compared with the blocks on a GPU (`scripts/check_gpu.sh`); M2BERT_LOCAL_ATTENTION=flash in the
environment turns them on.
"""

import os

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AttentionInterface

NAME = "m2bert_blocks"
"""Its name in transformers."""

HEAD_WIDTH = 64
"""Of the heads of every preset."""

CACHED_SCORES = 2**20
"""Scores of pairs of notes that are computed together on a CPU, two megabytes."""

# cuDNN's attention, which torch prefers on an H100, rounds dropout to sixteenths (torch before
# 2.14), has given NaN gradients for masks of 192 keys (pytorch issue 196678), and plans every new
# shape for half a second.
torch.backends.cuda.enable_cudnn_sdp(False)


def uses_flash(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether local layers are computed by FlashAttention."""
    wanted = os.environ.get("M2BERT_LOCAL_ATTENTION") == "flash"
    return wanted and device.type == "cuda" and dtype == torch.bfloat16


def uses_products(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether `full_attention` does without torch's kernels."""
    return device.type == "cpu" and dtype == torch.bfloat16


def attention_masks(like: Tensor, real: Tensor | None, reach: int) -> dict:
    """The masks of global and local layers, which the kernels add to the scores: 0 where attention
    is allowed, -inf elsewhere.

    like: (batch, notes, width), of the dtype and on the device of attention; real: (batch, notes)
    bool, the notes that may be attended to, None means all; reach: of local layers.

    transformers' own masks ask the device whether there is any padding, which makes the host wait
    at every step. Every note attends to itself: padding far from any real note would have no key
    otherwise, and NaN as result. The local mask is that of `block_attention` where blocks save
    work; for FlashAttention it is `sequence_bounds`.
    """
    batch, length = like.shape[:2]
    keys = None if real is None else additive(real[:, None, None, :], like.dtype)
    if uses_flash(like.device, like.dtype):
        return {"full_attention": keys, "sliding_attention": sequence_bounds(like, real)}
    rows = torch.ones(1, length, dtype=torch.bool, device=like.device) if real is None else real
    local = block_mask(rows, reach) if blocks_save_work(length, reach) else band_mask(rows, reach)
    local = additive(local, like.dtype)
    if local.ndim == 5:
        local = local.expand(batch, -1, -1, -1, -1).contiguous()
    return {"full_attention": keys, "sliding_attention": local}


def additive(allowed: Tensor, dtype: torch.dtype) -> Tensor:
    """The mask as numbers: kernels would convert one of bools in every layer."""
    return torch.zeros_like(allowed, dtype=dtype).masked_fill_(~allowed, -torch.inf)


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
    sliding_window: int | None = None,
    **_: object,
) -> tuple[Tensor, None]:
    """Called by transformers in every layer: (batch, heads, notes, width) each -> (batch, notes,
    heads, width). A mask of five dimensions is for blocks, one of one for FlashAttention."""
    if attention_mask is not None and attention_mask.ndim == 5:
        attended = block_attention(query, key, value, attention_mask, dropout, scaling)
    elif attention_mask is not None and attention_mask.ndim == 1:
        assert sliding_window is not None  # only local layers have such a mask
        reach = sliding_window - 1  # transformers counts the note itself
        return flash_attention(query, key, value, attention_mask, reach, dropout, scaling), None
    else:
        attended = full_attention(query, key, value, attention_mask, dropout, scaling)
    return attended.transpose(1, 2), None


def full_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    dropout: float,
    scale: float | None,
) -> Tensor:
    """Attention of all notes to all, (batch, heads, notes, width); `mask` is added to the scores.

    Torch's kernel for bfloat16 on a CPU takes twice as long as products of few rows, whose scores
    stay in the CPU's caches.
    """
    if not uses_products(query.device, query.dtype):
        return F.scaled_dot_product_attention(query, key, value, mask, dropout, scale=scale)
    batch, heads, notes, width = query.shape
    rows = max(1, CACHED_SCORES // (heads * notes * key.shape[2]))
    query = query * (width**-0.5 if scale is None else scale)
    parts = [of.split(rows) for of in (query, key, value)]
    if mask is not None:
        parts.append(mask.expand(batch, -1, -1, -1).split(rows))
    return torch.cat(
        [_weighted_values(*part, dropout=dropout) for part in zip(*parts, strict=True)]
    )


def _weighted_values(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None, *, dropout: float
) -> Tensor:
    scores = query @ key.transpose(-1, -2)
    weights = (scores if mask is None else scores + mask).softmax(-1)
    return F.dropout(weights, dropout) @ value


def block_attention(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor, dropout: float, scale: float | None
) -> Tensor:
    """Local attention, (batch, heads, notes, width), with a mask of `block_mask` (batch, ...)."""
    batch, heads, notes, width = query.shape
    blocks, reach = mask.shape[1], mask.shape[3]
    if notes % reach:  # padding by nothing would copy
        query = F.pad(query, (0, 0, 0, -notes % reach))
    query = query.unflatten(2, (blocks, reach))
    key, value = _three_blocks(key, reach), _three_blocks(value, reach)
    # blocks become rows of a batch
    query, key, value = (t.transpose(1, 2).flatten(0, 1) for t in (query, key, value))
    mask = mask.flatten(0, 1)
    attended = full_attention(query, key, value, mask, dropout, scale)
    attended = attended.unflatten(0, (batch, blocks)).transpose(1, 2)
    return attended.reshape(batch, heads, blocks * reach, width)[:, :, :notes]


def _three_blocks(x: Tensor, reach: int) -> Tensor:
    """(rows, heads, notes, width) -> every block of `reach` notes with its neighbours, (rows,
    heads, blocks, 3 reach, width); before the first note and after the last there are zeros."""
    padded = F.pad(x, (0, 0, reach, reach + -x.shape[2] % reach))
    return padded.unfold(2, 3 * reach, reach).transpose(-1, -2)


def sequence_bounds(like: Tensor, real: Tensor | None) -> Tensor:
    """The bounds of sequences for `flash_attention`, int32, among the (batch * notes) notes: each
    row has two, its real notes and its padding."""
    batch, notes = like.shape[:2]
    row = torch.arange(batch + 1, dtype=torch.int32, device=like.device) * notes
    if real is None:
        return row
    padding = row[:-1] + real.sum(1, dtype=torch.int32)
    return torch.cat((torch.stack((row[:-1], padding), 1).flatten(), row[-1:]))


def flash_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    bounds: Tensor,
    reach: int,
    dropout: float,
    scale: float | None,
) -> Tensor:
    """Local attention, (batch, heads, notes, width) each -> (batch, notes, heads, width), within
    `sequence_bounds`; on a GPU in bfloat16."""
    batch, notes = query.shape[0], query.shape[2]
    query, key, value = (t.transpose(1, 2).flatten(0, 1) for t in (query, key, value))
    # torch's public functions have either windows or dropout
    attended = torch.ops.aten._flash_attention_forward(
        *(query, key, value, bounds, bounds, notes, notes, dropout, False, False),
        scale=scale,
        window_size_left=reach,
        window_size_right=reach,
    )[0]
    return attended.unflatten(0, (batch, notes))


AttentionInterface.register(NAME, attend)
