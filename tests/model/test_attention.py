import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from m2bert.model import attention
from tests.reference.reference_attention import reference_local_attention


@settings(max_examples=40)
@given(
    notes=st.integers(1, 40),
    reach=st.integers(1, 6),
    lengths=st.lists(st.integers(1, 40), min_size=2, max_size=2),
    padded=st.booleans(),
)
def test_block_attention_equals_the_reference(notes, reach, lengths, padded):
    generator = torch.Generator().manual_seed(notes * 100 + reach)
    query, key, value = torch.randn(3, 2, 2, notes, 4, generator=generator)
    real = torch.arange(notes) < torch.tensor(lengths)[:, None]
    real = real if padded else torch.ones(1, notes, dtype=torch.bool).expand(2, -1)
    expected = reference_local_attention(query, key, value, real, reach)
    rows = real if padded else real[:1]
    blocks = attention.block_mask(rows, reach).expand(2, -1, -1, -1, -1)
    for mask in (blocks, attention.band_mask(rows, reach)):
        mask = attention.additive(mask, query.dtype)
        attended, _ = attention.attend(None, query, key, value, mask, scaling=1.0)
        torch.testing.assert_close(attended.transpose(1, 2), expected, atol=1e-5, rtol=1e-5)


@settings(max_examples=40)
@given(notes=st.integers(1, 12), lengths=st.lists(st.integers(1, 12), min_size=1, max_size=4))
def test_sequence_bounds_separate_notes_and_padding(notes, lengths):
    lengths = torch.tensor(lengths).clamp(max=notes)
    real = torch.arange(notes) < lengths[:, None]
    bounds = attention.sequence_bounds(torch.zeros(len(lengths), notes, 1), real)
    assert bounds.dtype == torch.int32
    assert (bounds[0], bounds[-1]) == (0, real.numel())
    place = torch.arange(real.numel())
    sequence = torch.searchsorted(bounds, place, right=True, out_int32=True)
    together = sequence[:, None] == sequence
    kind = real.flatten().long() + 2 * (place // notes)
    assert torch.equal(together, kind[:, None] == kind)


def test_block_attention_has_dropout():
    torch.manual_seed(0)
    query, key, value = torch.randn(3, 1, 2, 256, 8)
    mask = attention.additive(
        attention.block_mask(torch.ones(1, 256, dtype=torch.bool), 64), query.dtype
    )
    drawn = [attention.block_attention(query, key, value, mask, 0.5, 0.01) for _ in range(80)]
    exact = attention.block_attention(query, key, value, mask, 0.0, 0.01)
    assert not torch.allclose(drawn[0], exact, atol=1e-2)
    torch.testing.assert_close(torch.stack(drawn).mean(0), exact, atol=0.1, rtol=0)


@given(
    batch=st.integers(1, 3),
    notes=st.integers(1, 300),
    masked=st.sampled_from(["no", "batch", "all"]),
)
@settings(max_examples=30, deadline=None)
def test_products_of_few_rows_equal_the_kernel(batch, notes, masked):
    generator = torch.Generator().manual_seed(notes)
    inputs = torch.randn(3, batch, 5, notes, 8, generator=generator).bfloat16()
    mask = None
    if masked != "no":
        real = torch.arange(notes) < torch.randint(1, notes + 1, (batch, 1), generator=generator)
        mask = attention.additive(real[: batch if masked == "all" else 1, None, None], inputs.dtype)
    got, expected = [], []
    for dtype, results in ((torch.bfloat16, got), (torch.float64, expected)):
        query, key, value = leaves = [x.to(dtype, copy=True).requires_grad_() for x in inputs]
        own = None if mask is None else mask.to(dtype)
        attended = attention.full_attention(query, key, value, own, 0.0, None)
        results += [attended, *torch.autograd.grad(attended.square().sum(), leaves)]
    for one, other in zip(got, expected, strict=True):
        assert (one.double() - other).norm() <= 0.03 * other.norm() + 0.01
