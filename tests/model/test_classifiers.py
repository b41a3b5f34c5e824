import json

import numpy as np
import pytest
import torch

from m2bert.finetuning.epoch import counted_in_loss, segment_losses
from m2bert.model.classifiers import CLASSIFIERS, NoteClassifier, PieceClassifier
from m2bert.model.config import M2BertConfig
from m2bert.model.optimisers import AdamW
from m2bert.notes.cp import PAD
from m2bert.tasks import Task
from tests.helpers.shared import GOLDEN_CONFIG, golden_model, golden_unpublished
from tests.helpers.synthetic import random_segments

SMALL = M2BertConfig(16, 24, 3, 2, local_attention=8, dropout=0.0)


def small_segments(seed: int = 0, count: int = 4, length: int = 24) -> torch.Tensor:
    return torch.from_numpy(random_segments(np.random.default_rng(seed), count, length))


def numbered(classes: int) -> Task:
    """A task with so many classes."""
    return Task("numbers", "numbers", "note", tuple(map(str, range(classes))), "note_accuracy")


@pytest.fixture
def heads(golden) -> dict[str, torch.Tensor]:
    with np.load(golden / "finetune/heads.npz") as file:
        return {name: torch.from_numpy(file[name]) for name in file}


@pytest.fixture
def expected(golden) -> dict:
    return json.loads((golden / "finetune/heads_expected.json").read_text())


def mean_loss(logits, notes, labels, loss_on: str = "notes") -> torch.Tensor:
    sums, counts = segment_losses(logits, labels, counted_in_loss(notes, labels, loss_on))
    return sums.sum() / counts.sum()


@golden_unpublished
def test_note_classifier_losses_and_three_steps_equal_the_original(golden, heads, expected):
    classifier = NoteClassifier(GOLDEN_CONFIG, numbered(len(heads["token_bias"])))
    classifier.eval()  # without dropout
    classifier.backbone.load_state_dict(golden_model().backbone.state_dict())
    classifier.classifier[0].weight.data = heads["token_weight"].clone()
    classifier.classifier[0].bias.data = heads["token_bias"].clone()
    notes, labels = heads["tokens"].to(torch.uint8), heads["token_labels"]
    logits = classifier(notes).detach()
    real = heads["attention"] > 0
    torch.testing.assert_close(logits[real], heads["token_logits"][real], atol=1e-5, rtol=0)
    for loss_on, name in (("notes", "non_padding"), ("labelled", "texture")):
        loss = mean_loss(logits, notes, labels, loss_on).item()
        assert loss == pytest.approx(expected[f"token_loss_{name}_mask"], rel=1e-5)

    optimiser = AdamW([w for w in classifier.parameters() if w.requires_grad], lr=2e-5)
    losses = []
    for _ in range(3):
        loss = mean_loss(classifier(notes), notes, labels)
        losses.append(loss.item())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert losses == pytest.approx(expected["adamw_three_steps_losses"], rel=1e-5)
    weights = dict(classifier.named_parameters())
    with np.load(golden / "finetune/adamw_after_three_steps.npz") as file:
        for name in file:
            mine = weights[name.replace("midibert.", "backbone.")].detach().numpy()
            np.testing.assert_allclose(mine, file[name], atol=2e-6, rtol=0, err_msg=name)


@golden_unpublished
def test_piece_classifier_equals_the_original(heads, expected):
    classifier = PieceClassifier(GOLDEN_CONFIG, numbered(len(heads["seq_bias"]))).eval()
    classifier.backbone.load_state_dict(golden_model().backbone.state_dict())
    classifier.attention["ws1"].weight.data = heads["seq_ws1"]
    classifier.attention["ws2"].weight.data = heads["seq_ws2"]
    classifier.classifier[0].weight.data = heads["seq_weight"]
    classifier.classifier[0].bias.data = heads["seq_bias"]
    notes, labels = heads["tokens"].to(torch.uint8), heads["sequence_labels"]
    logits = classifier(notes).detach()
    torch.testing.assert_close(logits, heads["sequence_logits_all_ones_mask"], atol=1e-5, rtol=0)
    loss = mean_loss(logits, notes, labels).item()
    assert loss == pytest.approx(expected["sequence_loss"], rel=1e-5)


@pytest.mark.parametrize("index_layer", [9, 11])
def test_classifier_reads_the_chosen_layer(index_layer):
    classifier = NoteClassifier(SMALL, numbered(5), index_layer).eval()
    notes = small_segments()
    real = notes[..., 0] != PAD[0]
    states = classifier.backbone.hidden_states(notes, real)
    expected_logits = classifier.classifier(states[index_layer - 9])
    torch.testing.assert_close(classifier(notes)[real], expected_logits[real])


def test_padding_affects_classifiers_of_pieces_only():
    notes = small_segments(count=1)
    notes[:, 12:] = torch.tensor(PAD, dtype=torch.uint8)
    torch.manual_seed(0)
    by_note, by_piece = (kind(SMALL, numbered(5)).eval() for kind in CLASSIFIERS.values())
    short = notes[:, :12]
    torch.testing.assert_close(by_note(notes)[:, :12], by_note(short, padded=False))
    assert not torch.allclose(by_piece(notes), by_piece(short), atol=1e-4)


def test_piece_classifier_pools_weighted_means_of_states():
    classifier = PieceClassifier(SMALL, numbered(3)).eval()
    notes = small_segments(count=2)
    states = classifier.backbone(notes)
    ws1, ws2 = classifier.attention["ws1"], classifier.attention["ws2"]
    pooled = []
    for segment in states:
        weights = torch.stack([ws2(torch.tanh(ws1(note))) for note in segment]).softmax(0)
        pooled.append(torch.cat([(column[:, None] * segment).sum(0) for column in weights.T]))
    expected_logits = classifier.classifier(torch.stack(pooled))
    torch.testing.assert_close(classifier(notes), expected_logits, atol=1e-5, rtol=1e-5)
