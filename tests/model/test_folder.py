import json
import re
from pathlib import Path

import pytest
import torch
from huggingface_hub import ModelCard
from torch import nn

from m2bert import M2BertForPreTraining, M2BertModel, NoteClassifier, PieceClassifier
from m2bert.base.errors import UserError
from m2bert.base.files import write_json
from m2bert.base.outputs import sha256
from m2bert.model.classifiers import load_classifier
from m2bert.model.config import M2BertConfig
from m2bert.model.folder import WEIGHTS_FILE, read_record, write_card
from m2bert.model.tensors import load_tensors, save_tensors
from m2bert.tasks import TASKS
from tests.helpers.midi_files import END, SCALE, midi_bytes, off, on, write_midi

CONFIG = M2BertConfig(32, 48, 2, 2)
MELODY = TASKS["melody"]
COMPOSER = TASKS["composer"]

MODELS = {
    "encoder": lambda: M2BertModel(CONFIG),
    "pre-trained": lambda: M2BertForPreTraining(CONFIG),
    "melody": lambda: NoteClassifier(CONFIG, MELODY, 11),
    "composer": lambda: PieceClassifier(CONFIG, COMPOSER),
}

SONGS = {"datasets": ["pop909", "ASAP"], "songs": 1200, "notes": 3456789, "rc_range": [4, 12, 12]}
PRE_TRAINING = {
    "epoch": 3,
    "valid_loss": 1.25,
    "valid_acc": [1.0, 0.5, 0.25, 0.125],
    "training": SONGS,
}
FINE_TUNING = {
    "fold": None,
    "metric": "note_accuracy",
    "valid_score": 0.9123,
    "test_score": 0.9012,
    "data": {"train": {"segments": 1234, "notes": 56789, "crc32": "00000000"}},
    "pretraining": {"epoch": 3, "datasets": ["lmd"]},
    "settings": {"pretrained": True, "checkpoint_sha256": "5d41402abc4b2a76", "lr": 2e-5},
}
RECORDS = {"pre-trained": PRE_TRAINING, "melody": FINE_TUNING}


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> Path:
    """A folder with one of each kind of model; read only."""
    folder = tmp_path_factory.mktemp("models")
    for name, make in MODELS.items():
        torch.manual_seed(0)
        make().save_pretrained(folder / name, RECORDS.get(name))
        write_card(folder / name)
    return folder


def outputs(model: nn.Module) -> list[torch.Tensor]:
    notes = torch.stack([torch.arange(40) % size for size in (2, 16, 86, 64)], -1)[None]
    with torch.no_grad():
        answer = model(notes)
    return answer if isinstance(answer, list) else [answer]


@pytest.mark.parametrize("name", MODELS)
def test_from_pretrained_reads_what_save_pretrained_wrote(folders, name):
    torch.manual_seed(0)
    model = MODELS[name]().eval()
    before = torch.get_rng_state()
    loaded = type(model).from_pretrained(str(folders / name))
    assert torch.equal(torch.get_rng_state(), before)  # no random weights on the way
    assert not loaded.training
    assert loaded.config == CONFIG
    trained = [n for n, weight in model.named_parameters() if weight.requires_grad]
    assert [n for n, weight in loaded.named_parameters() if weight.requires_grad] == trained
    for mine, theirs in zip(outputs(loaded), outputs(model), strict=True):
        assert torch.equal(mine, theirs)
    encoder = M2BertModel.from_pretrained(folders / name)
    assert torch.equal(outputs(encoder)[0], outputs(getattr(model, "backbone", model).eval())[0])
    assert read_record(folders / name) == RECORDS.get(name, {})
    if name in TASKS:
        assert (loaded.task, loaded.classes) == (TASKS[name], TASKS[name].classes)
        assert loaded.index_layer == model.index_layer
        assert type(load_classifier(folders / name)) is type(model)


def test_config_has_the_entries_of_transformers(folders):
    config = json.loads((folders / "melody/config.json").read_text())
    assert [config[name] for name in ("format_version", "model_type")] == [1, "m2bert"]
    assert config["architectures"] == ["NoteClassifier"]
    assert config["id2label"]["1"] == "melody"
    assert {str(label): name for name, label in config["label2id"].items()} == config["id2label"]
    facts = {"pad": [2, 16, 86, 64], "mask": [3, 17, 87, 65], "lowest_pitch": 22}
    assert facts.items() <= config["vocabulary"].items()


@pytest.mark.parametrize(
    ("reader", "name", "message"),
    [
        (NoteClassifier, "composer", "fine-tuned on a task of pieces, which PieceClassifier.from"),
        (M2BertForPreTraining, "melody", "task of notes, which NoteClassifier.from"),
        (M2BertForPreTraining, "encoder", "an encoder without heads, which M2BertModel.from"),
    ],
)
def test_from_pretrained_names_the_class_that_reads_another_kind(folders, reader, name, message):
    with pytest.raises(UserError, match=message):
        reader.from_pretrained(folders / name)


def rejection(path: Path) -> str:
    """The sentence with which a model folder is rejected."""
    with pytest.raises(UserError) as error:
        NoteClassifier.from_pretrained(path)
    message = str(error.value)
    assert "\n" not in message
    assert str(path) in message
    return message


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format_version": 2}, "has format version 2, not 1"),
        ({"model_type": "bert"}, "has model type 'bert', not 'm2bert'"),
        ({"architectures": ["BertModel"]}, "an unknown kind of model"),
        ({"vocabulary": {"lowest_pitch": 21}}, "has vocabulary .*not a model of this release"),
        ({"hidden_size": 33}, "is damaged"),
        ({"hidden_size": ...}, "is damaged"),
        ({"index_layer": 7}, "is damaged"),
        ({"id2label": {"1": "melody"}}, "is damaged"),
        ({"id2label": {"0": "padding", "1": "melody"}}, r"model\.safetensors does not fit"),
        ({"num_hidden_layers": 3}, r"model\.safetensors does not fit .*layers\.2"),
    ],
)
def test_from_pretrained_rejects_configurations_of_other_models(
    folders, tmp_path, changes, message
):
    config = json.loads((folders / "melody/config.json").read_text())
    changed = {name: value for name, value in (config | changes).items() if value is not ...}
    write_json(tmp_path / "config.json", changed)
    (tmp_path / WEIGHTS_FILE).symlink_to(folders / "melody" / WEIGHTS_FILE)
    assert re.search(message, rejection(tmp_path))


def test_from_pretrained_names_missing_and_damaged_files(folders, tmp_path):
    assert "there is no folder" in rejection(tmp_path / "nothing")
    assert "contains no model" in rejection(tmp_path)
    (tmp_path / "model_best.ckpt").touch()
    assert "convert it with `python -m m2bert" in rejection(tmp_path / "model_best.ckpt")
    (tmp_path / "song.mid").touch()
    assert "give a folder with config.json and" in rejection(tmp_path / "song.mid")
    text = (folders / "melody/config.json").read_text()
    (tmp_path / "config.json").write_text(text[:-5])
    assert "config.json cannot be read" in rejection(tmp_path)
    (tmp_path / "config.json").write_text(text)
    assert "there is no file" in rejection(tmp_path)
    path = tmp_path / WEIGHTS_FILE
    weights = (folders / "melody" / WEIGHTS_FILE).read_bytes()
    for damaged in (weights[:-100], b"text" * 9):
        path.write_bytes(damaged)
        assert "model.safetensors cannot be read (it is" in rejection(tmp_path)
    assert rejection(path).endswith(f"is a file, not a model folder: give its folder, {tmp_path}")
    tensors, _ = load_tensors(folders / "melody" / WEIGHTS_FILE)
    tensors["classifier.0.bias"][1] = torch.nan
    save_tensors(path, tensors, {})
    assert "classifier.0.bias contains NaN or infinity" in rejection(tmp_path)


def example_of(card: str) -> str:
    (example,) = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    return example


@pytest.mark.parametrize("name", MODELS)
def test_write_card_writes_metadata_for_hubs(folders, name):
    card = ModelCard.load(folders / name / "README.md")
    assert (card.data.license, card.data.library_name) == ("other", "m2bert")
    assert "midi" in card.data.tags
    assert not re.search(r"\| None|[{}]|\n\n\n", card.text)
    assert sha256(folders / name / WEIGHTS_FILE) in card.text
    compile(example_of(card.text), "example", "exec")


def test_write_card_describes_data_training_and_scores(folders):
    encoder, melody = ((folders / n / "README.md").read_text() for n in ("pre-trained", "melody"))
    assert "1,200 songs with 3,456,789 notes: pop909, ASAP." in encoder
    assert "| training.rc_range | [4, 12, 12] |" in encoder
    assert "| accuracy of Pitch at corrupted notes, validation | 0.25 |" in encoder
    assert "1,234 labelled segments of pop909 with 56,789 notes." in melody
    assert "| accuracy, validation | 0.9123 |\n| accuracy, test | 0.9012 |" in melody


def run_example(folder: Path, song: Path) -> dict:
    """The variables that the example of a card defines."""
    example = example_of((folder / "README.md").read_text())
    example = example.replace("path/to/this/folder", str(folder)).replace("song.mid", str(song))
    names = {}
    exec(example, names)
    return names


def test_write_card_gives_an_example_that_runs(folders, tmp_path):
    song = write_midi(tmp_path / "song.mid")
    encoder, melody, composer = (
        run_example(folders / name, song) for name in ("pre-trained", "melody", "composer")
    )
    assert encoder["vector"].shape == (CONFIG.hidden_size,)
    assert encoder["vectors"].shape == (2, CONFIG.hidden_size)
    assert set(melody["names"]) <= set(MELODY.classes)
    assert len(melody["names"]) == len(SCALE)
    assert composer["probabilities"].keys() == set(COMPOSER.classes)
    # a drum and a very short note, which are not read
    drum = on(0, 36, channel=9) + off(9, 36, channel=9)
    song.write_bytes(midi_bytes(drum + on(0, 60) + off(9, 60) + END))
    of_drum, of_note = run_example(folders / "melody", song)["names"]
    assert of_drum is None
    assert of_note in MELODY.classes
    assert run_example(folders / "composer", song)["found"] is None


def test_save_pretrained_removes_the_card_of_other_weights_only(tmp_path):
    model, card = M2BertModel(CONFIG), tmp_path / "README.md"
    card.write_text("# My project\n")
    model.save_pretrained(tmp_path)
    assert card.read_text() == "# My project\n"
    write_card(tmp_path)
    model.save_pretrained(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json", WEIGHTS_FILE]
