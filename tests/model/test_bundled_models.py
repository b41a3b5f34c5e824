"""The bundled models, and the command that makes such models."""

import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from benchmarks import bundled_models
from m2bert import M2BertModel, checkpoint, read_record
from m2bert.annotation.models import find_models
from m2bert.base.errors import UserError
from m2bert.base.outputs import sha256
from m2bert.base.tables import markdown_text
from m2bert.finetuning.data import LabelledSegments
from m2bert.model.card import AVERAGED_SCORES, FACTS
from m2bert.model.classifiers import load_classifier
from m2bert.model.folder import BUNDLED_MODELS, ENCODER
from m2bert.notes.cp import PAD
from m2bert.tasks import TASKS
from tests.helpers.commands import call_main
from tests.helpers.shared import REPOSITORY
from tests.helpers.task_files import save_classifier

FACTS_FILE = BUNDLED_MODELS / "facts.json"
BUNDLED = sorted(json.loads(FACTS_FILE.read_text()))


def test_bundled_models_are_complete_and_small():
    files = [path for path in BUNDLED_MODELS.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 60_000_000
    assert sorted(path.parent.name for path in files if path.name == "config.json") == BUNDLED
    models = [path.name for paths in find_models([BUNDLED_MODELS]).values() for path in paths]
    assert sorted([*models, ENCODER.name]) == BUNDLED


def test_a_model_beside_the_bundled_ones_is_used_only_by_its_own_folder(tmp_path, monkeypatch):
    folder = tmp_path / "models"
    for name in ("melody", "emotion"):
        shutil.copytree(BUNDLED_MODELS / name, folder / name)
    shutil.copytree(folder / "melody", folder / "mine")
    monkeypatch.setattr("m2bert.annotation.models.BUNDLED_MODELS", folder)
    expected = {name: [folder / name] for name in ("melody", "emotion")}
    assert find_models([folder]) == expected
    assert find_models([folder / "mine"]) == {"melody": [folder / "mine"]}
    assert M2BertModel.from_pretrained().config.hidden_size == 128


def test_readme_of_the_models_has_the_recorded_scores():
    records = json.loads((REPOSITORY / "docs/results/bundled.json").read_text())
    page = markdown_text(bundled_models.table(records))
    rows = [row for row in page.splitlines() if row.startswith("|")]
    assert "\n".join(rows) in (REPOSITORY / "models/README.md").read_text()
    bundled = find_models([BUNDLED_MODELS])
    models = {record["task"]: record["models"] for record in records}
    assert models == {task: [path.name for path in paths] for task, paths in bundled.items()}
    for record in records:
        first = read_record(BUNDLED_MODELS / record["models"][0])
        score, _ = record["one model"]
        assert score == pytest.approx(first["test_score"], abs=0.01)  # two of 232 clips of emotion
        averaged = [score for score in record.get("all averaging", []) if score]
        assert list(first.get(AVERAGED_SCORES, {}).values()) == averaged


def test_probabilities_of_pieces_return_to_the_segments():
    notes = torch.tensor(PAD, dtype=torch.uint8).repeat(3, 1024, 1)
    lengths = (1024, 100, 50)  # a piece of two segments, and one of one
    for row, length in enumerate(lengths):
        notes[row, :length] = torch.randint(2, (length, 4), dtype=torch.uint8)
    read = []

    def probabilities(pieces, stride, *_):
        read.append((stride, [len(piece) for piece in pieces]))
        return [piece.astype(np.float32) for piece in pieces]

    model = SimpleNamespace(classes="abcd", probabilities=probabilities)
    data = LabelledSegments(notes, torch.zeros(3, 1024))
    found = bundled_models.of_pieces(model, data, 512)
    assert read == [(512, [1124, 50])]
    for row, length in enumerate(lengths):
        np.testing.assert_array_equal(found[row, :length], notes[row, :length])
        assert not found[row, length:].any()


@pytest.mark.parametrize("name", BUNDLED)
def test_bundled_model_has_a_card_with_its_facts(name):
    folder = BUNDLED_MODELS / name
    record, card = read_record(folder), (folder / "README.md").read_text()
    facts = json.loads(FACTS_FILE.read_text())[name]
    assert record.items() >= facts.items()
    assert f"license: {facts['licence']}\n" in card
    assert all(facts[fact] in card for fact in FACTS)
    assert f"`{sha256(folder / 'model.safetensors')}`" in card
    if (task := name.removesuffix("_2")) in TASKS:
        assert load_classifier(folder).task.name == task
        assert record["test_score"] > record["majority_class_score"]
        assert f"| {record['published_score']} |" in card
    licence = {"mit": "MIT", "cc-by-sa-4.0": "CC BY-SA", "cc-by-nc-sa-4.0": "CC BY-NC-SA"}
    text = (REPOSITORY / "models/README.md").read_text().partition("## Licences")[2]
    rows = [row for row in text.splitlines() if row.startswith("|")]
    (row,) = (row for row in rows if f"`{name}`" in row)
    assert licence[facts["licence"]] in row


def test_checkpoint_facts_writes_a_copy_of_half_the_size(tmp_path):
    source, copy, facts = tmp_path / "run/model", tmp_path / "melody", tmp_path / "facts.json"
    save_classifier(source, "melody", valid_score=0.5)
    words = (source, copy, "--facts", facts)
    facts.write_text(json.dumps({"melody": {"licence": "mit"}}))
    with pytest.raises(UserError, match=r"facts\.json lacks .* of melody"):
        call_main(checkpoint.main, *words)
    assert not copy.exists()
    facts.write_text(json.dumps({"melody": dict.fromkeys(FACTS, "mit")}))
    call_main(checkpoint.main, *words)
    sizes = [(folder / "model.safetensors").stat().st_size for folder in (source, copy)]
    assert sizes[1] < 0.6 * sizes[0]
    before, after = (load_classifier(folder).state_dict() for folder in (source, copy))
    for name, tensor in before.items():
        assert after[name].dtype == torch.float32
        torch.testing.assert_close(after[name], tensor, rtol=2**-8, atol=0)
    assert read_record(copy).items() >= {"published_score": 0.982, "valid_score": 0.5}.items()
