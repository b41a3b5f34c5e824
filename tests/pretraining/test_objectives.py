import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from m2bert.model.config import preset
from m2bert.model.encoder import M2BertForPreTraining
from m2bert.model.optimisers import StableAdamW
from m2bert.notes.cp import MASK, ORDINARY_SIZES, real_notes
from m2bert.pretraining.objectives import (
    Corrupted,
    Objective,
    corrupt_bounded,
    corrupt_masked,
    loss_sums,
    loss_terms,
    pianoroll_targets,
    total_loss,
)
from tests.helpers.shared import GOLDEN, golden_all, same_as_original
from tests.helpers.synthetic import random_segments
from tests.reference.reference_pianoroll import reference_pianoroll

RC_RANGE = (4, 12, 12)


# Pianoroll


def test_pianoroll_equals_the_reference_implementation():
    segments = random_segments(np.random.default_rng(0), count=300, length=12)
    target = pianoroll_targets(torch.from_numpy(segments), "full", bars=12).dense()
    expected = np.stack(list(map(reference_pianoroll, segments)))
    np.testing.assert_allclose(target.numpy(), expected, atol=1e-7)
    # without chroma bins the others, which sum to 1, stay as they are
    pitches = pianoroll_targets(torch.from_numpy(segments), "nochroma", bars=12).dense()
    rows = target.unflatten(-1, (17, 98))[..., 12:]
    torch.testing.assert_close(pitches.unflatten(-1, (17, 86)), rows, atol=1e-7, rtol=0)


@golden_all
def test_pianoroll_equals_the_original(golden):
    stored = np.load(golden / "pianoroll/targets.npz")
    unique = (stored[f"unique_{name}"] for name in ("data", "indices", "indptr"))
    rows = csr_array(tuple(unique)).toarray()
    segments = torch.from_numpy(np.load(golden / "pianoroll/segments.npy"))
    target = pianoroll_targets(segments, "full", bars=1024).dense().numpy()
    np.testing.assert_array_equal(target, rows[stored["row_index"]])


# Corruption


@given(st.integers(0, 2**32), st.sampled_from([0.15, 0.3, 0.5]))
@settings(max_examples=50)
def test_corrupt_bounded_selects_and_changes_within_its_bounds(seed, percent):
    rng = np.random.default_rng(seed)
    notes = torch.from_numpy(random_segments(rng, 8, 50)).long()
    keys = torch.from_numpy(rng.integers(0, 2**63 - 1, 8))
    corrupted, selected = corrupt_bounded(notes, keys, percent, RC_RANGE)
    lengths = real_notes(notes).sum(1)
    assert selected.sum(1).tolist() == [round(percent * n) for n in lengths.tolist()]
    assert not (selected & ~real_notes(notes)).any()
    assert torch.equal(corrupted[~selected], notes[~selected])
    assert torch.equal(corrupted[..., 0], notes[..., 0])
    before, after = notes[selected], corrupted[selected]
    for field, reach in zip((1, 2, 3), RC_RANGE, strict=True):
        assert (after[:, field] >= (before[:, field] - reach).clamp(min=0)).all()
        high = (before[:, field] + reach).clamp(max=ORDINARY_SIZES[field])
        assert (after[:, field] < high).all()


def chi_square(counts: np.ndarray) -> float:
    expected = counts.sum() / len(counts)
    return float(((counts - expected) ** 2 / expected).sum())


@pytest.mark.parametrize("note", [(1, 8, 40, 30), (1, 0, 0, 0), (0, 15, 85, 63), (1, 2, 80, 5)])
def test_corrupt_bounded_is_uniform(note):
    notes = torch.tensor(note).expand(400, 200, 4)
    keys = torch.from_numpy(np.random.default_rng(5).integers(0, 2**63 - 1, 400))
    corrupted, selected = corrupt_bounded(notes, keys, 0.3, RC_RANGE)
    values = corrupted[selected].numpy()
    for field, reach in zip((1, 2, 3), RC_RANGE, strict=True):
        low = max(note[field] - reach, 0)
        high = min(note[field] + reach, ORDINARY_SIZES[field])
        counts = np.bincount(values[:, field], minlength=high)[low:high]
        assert counts.sum() == len(values)
        freedom = len(counts) - 1
        assert chi_square(counts) < freedom + 4 * np.sqrt(2 * freedom)


def test_corrupt_bounded_selects_notes_and_changes_fields_independently():
    notes = torch.tensor((1, 8, 40, 30)).expand(6000, 20, 4)
    keys = torch.from_numpy(np.random.default_rng(2).integers(0, 2**63 - 1, 6000))
    corrupted, selected = corrupt_bounded(notes, keys, 0.3, RC_RANGE)
    assert chi_square(selected.sum(0).numpy()) < 19 + 4 * np.sqrt(2 * 19)
    together = (selected[:, 0] & selected[:, 1]).float().mean().item()
    assert together == pytest.approx(6 / 20 * 5 / 19, abs=0.015)
    correlation = np.corrcoef(corrupted[selected].numpy()[:, 1:].T.astype(float))
    assert np.abs(correlation - np.eye(3)).max() < 0.025


def test_corrupt_masked_treats_80_10_10_percent():
    notes = torch.tensor((1, 8, 40, 30)).expand(400, 100, 4)
    keys = torch.arange(400) * 77777777
    corrupted, selected = corrupt_masked(notes, keys, 0.15)
    assert (selected.sum(1) == 15).all()
    assert torch.equal(corrupted[~selected], notes[~selected])
    changed = corrupted[selected]
    assert (changed[:, 0] == 1).all()
    masked = (changed[:, 1:] == torch.tensor(MASK[1:])).all(1).float().mean().item()
    same = (changed == notes[selected]).all(1).float().mean().item()
    assert masked == pytest.approx(0.8, abs=0.02)
    assert same == pytest.approx(0.1, abs=0.02)
    rest = changed[(changed[:, 2] != MASK[2]) & (changed != notes[selected]).any(1)]
    assert (rest < torch.tensor(ORDINARY_SIZES)).all()
    assert rest[:, 2].min() < 5
    assert rest[:, 2].max() > 80


@same_as_original
def test_corruption_has_the_originals_support_and_counts():
    support = json.loads((GOLDEN / "corruption/support.json").read_text())
    for length, count in support["selected_notes_by_length"].items():
        segment = torch.tensor((2, 16, 86, 64)).repeat(1, 1024, 1)
        segment[:, : int(length)] = torch.tensor((1, 0, 0, 0))
        chosen = corrupt_bounded(segment, torch.tensor([9]), 0.3, RC_RANGE).selected
        assert int(chosen.sum()) == count
    for field, name in enumerate(("position", "pitch", "duration"), start=1):
        for value, (low, high) in support[name].items():
            note = [1, 0, 0, 0]
            note[field] = int(value)
            segment = torch.tensor(note).repeat(1, 1500, 1)
            moved, chosen = corrupt_bounded(segment, torch.tensor([7]), 1.0, RC_RANGE)
            assert torch.unique(moved[chosen][:, field]).tolist() == list(range(low, high))


# Loss


def test_loss_terms_of_zero_outputs():
    notes = torch.from_numpy(random_segments(np.random.default_rng(5), 4, 60, shortest=20))
    real, selected = real_notes(notes), corrupt_bounded(notes, torch.arange(4), 0.3, RC_RANGE)[1]
    outputs = [torch.zeros(4, 60, size) for size in (4, 18, 88, 66, 1666)]
    target = pianoroll_targets(notes, "full", bars=61).dense()
    sums = loss_sums(outputs, notes, selected, real, target)
    terms = loss_terms(sums.losses, float(selected.sum()), float(real.sum()))
    expected = [np.log(size) for size in (4, 18, 88, 66)]
    np.testing.assert_allclose(terms[:4], expected, rtol=1e-6)
    squares = target[real].square().sum(-1).mean()
    assert terms[4].item() == pytest.approx(squares.item(), rel=1e-5)


def test_total_loss_weights_by_vocabulary():
    terms = torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0])
    assert total_loss(terms).item() == pytest.approx((4 + 36 + 264 + 264 + 5) / 177)
    assert total_loss(terms[:4]).item() == pytest.approx((4 + 36 + 264 + 264) / 176)


def test_sums_ignore_segments_that_do_not_count():
    rng = np.random.default_rng(4)
    notes = torch.from_numpy(random_segments(rng, 4, 30))
    keys = torch.arange(4)
    torch.manual_seed(0)
    model = M2BertForPreTraining(preset("tiny")).eval()
    counted = torch.tensor([True, False, True, False])
    corrupted = Objective().corrupt(notes, keys)
    part = Objective().sums(model, notes, corrupted, counted, bars=31, padded=True)
    every_other = Corrupted(*(t[::2] for t in corrupted))
    alone = Objective().sums(model, notes[::2], every_other, counted[::2], bars=31, padded=True)
    torch.testing.assert_close(part.losses, alone.losses)
    assert torch.equal(part.correct, alone.correct)


@pytest.mark.parametrize(
    ("pianoroll", "corruption"), [("full", "rc"), ("nochroma", "rc"), ("none", "mlm")]
)
def test_step_never_waits_for_the_device(pianoroll, corruption):
    """Tensors on the meta device have no values: reading one, as a host sync does, raises."""
    model = M2BertForPreTraining(preset("tiny", pianoroll)).to("meta")
    optimiser = StableAdamW([w for w in model.parameters() if w.requires_grad], lr=2e-5)
    with torch.device("meta"):
        notes = torch.zeros(2, 40, 4, dtype=torch.uint8)
        keys = torch.zeros(2, dtype=torch.int64)
        counted = torch.ones(2, dtype=torch.bool)
    objective = Objective(corruption=corruption, pianoroll=pianoroll)
    corrupted = objective.corrupt(notes, keys)
    sums = objective.sums(model, notes, corrupted, counted, bars=41, padded=True)
    total_loss(loss_terms(sums.losses, 24.0, 80.0)).backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 3.0)
    optimiser.step()
    with pytest.raises(RuntimeError, match="meta"):
        sums.losses[0].item()
