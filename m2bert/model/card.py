"""The card of a model: what it is, what it was trained on and how, how good it is, how to use it.

Markdown with the front matter that model hubs read. It says what a model's folder knows of itself,
and of the rest that it was not recorded.
"""

import json

from m2bert.notes.cp import FIELDS
from m2bert.tasks import METRIC_TITLES, SPLITS, TASKS

LIBRARY = "m2bert"
TAGS = ["music", "symbolic-music", "midi", "compound-word"]
NOT_RECORDED = "This was not recorded."

CARD = """\
---
license: other
license_name: that-of-the-training-data
library_name: {library}
tags: {tags}
metrics: {metrics}
---

# {title}

{what}

It reads music as Compound-Word notes (Bar, Position, Pitch, Duration) with a ModernBERT encoder of
{layers} layers of width {width}, as in J.-Y. Wang and L. Su, *Improving BERT for symbolic music
understanding using token denoising and pianoroll prediction*, ISMIR 2025
([arXiv 2507.04776](https://arxiv.org/abs/2507.04776)).

## Data

{data}

## Training

{training}

## Scores

{scores}

## Use

```python
{use}
```

## Licence

The code is under the MIT licence. The weights were learnt from the data named above: they may be
used as the licences of that data allow (some of the usual corpora are for research only; the README
of the code, "Prepare", lists them).

## Checksum

`model.safetensors` has the SHA-256 `{sha256}`.
"""

USE_ENCODER = """\
from m2bert import M2BertModel
model = M2BertModel.from_pretrained("path/to/this/folder")
vector = model.embed("song.mid")  # ({width},)
vectors = model.embed("song.mid", level="bar")  # or "note": (bars or notes, {width})"""

USE_NOTE_CLASSIFIER = """\
from m2bert import NoteClassifier
model = NoteClassifier.from_pretrained("path/to/this/folder")
found = model.predict("song.mid")
names = found.names  # of each note's label, None for notes that are not read: drums
probabilities = found.probability"""

USE_PIECE_CLASSIFIER = """\
from m2bert import PieceClassifier
model = PieceClassifier.from_pretrained("path/to/this/folder")
found = model.predict("song.mid")  # None if every note is shorter than a 64th
if found:
    probabilities = dict(zip(found.classes, found.probabilities))"""

USE_CLASSIFIER = {
    "NoteClassifier": USE_NOTE_CLASSIFIER,
    "PieceClassifier": USE_PIECE_CLASSIFIER,
}

CORRUPTION_TEXTS = {
    "rc": "token correction: to find the true notes where {share} of them were moved at random "
    "(position, pitch and duration by at most {moves})",
    "mlm": "masked notes: to find the true notes where {share} of them were masked, replaced or "
    "left as they were",
}
PIANOROLL_TEXTS = {
    "full": "the pianoroll and chroma of each note's bar and 16th slot",
    "nochroma": "the pianoroll of each note's bar and 16th slot",
    "none": "no pianoroll",
}


def model_card(architecture: str, entries: dict, record: dict, sha256: str) -> str:
    """The text of a card.

    architecture, entries: what `config.json` says of the model.
    record: how it was trained, as `folder.read_record` gives it; may lack anything.
    sha256: of the file of weights, in hexadecimal digits.
    """
    tell = _tell_classifier if "id2label" in entries else _tell_pre_trained
    return CARD.format(
        library=LIBRARY,
        layers=entries["num_hidden_layers"],
        width=entries["hidden_size"],
        sha256=sha256,
        **tell(architecture, entries, record),
    )


# Pre-trained -----------------------------------------------------------------------------------


def _tell_pre_trained(architecture: str, entries: dict, record: dict) -> dict[str, str]:
    settings = record.get("training", {})
    corpora = ", ".join(settings.get("datasets", []))
    has_heads = architecture != "M2BertModel"
    is_known = has_heads or corpora
    heads = " The heads of its pre-training are with it." * has_heads
    on_corpora = f", pre-trained on {corpora}" if corpora else ", pre-trained" * has_heads
    return {
        "tags": json.dumps([*TAGS, *["pre-trained"] * bool(is_known)]),
        "metrics": json.dumps(["accuracy"] if "valid_acc" in record else []),
        "title": f"M2BERT{on_corpora}",
        "what": f"An encoder of symbolic music, to be fine-tuned or for its vectors.{heads}",
        "data": _corpora(settings, corpora, record),
        "training": _paragraphs(
            _objectives(settings, entries) if is_known else NOT_RECORDED, _epochs(settings, record)
        ),
        "scores": _validation(record),
        "use": USE_ENCODER.format(width=entries["hidden_size"]),
    }


def _corpora(settings: dict, corpora: str, record: dict) -> str:
    if corpora:
        return (
            f"{settings['songs']:,} songs with {settings['notes']:,} notes: {corpora}. "
            "Some of the songs were held out for validation."
        )
    source = record.get("converted_from")
    if source:
        return f"The weights are from the checkpoint `{source}`. The data was not recorded."
    return NOT_RECORDED


def _objectives(settings: dict, entries: dict) -> str:
    pianoroll = PIANOROLL_TEXTS[entries["pianoroll"]]
    if not settings:
        return f"Objectives: to find the true notes where some were changed; {pianoroll}."
    corruption = CORRUPTION_TEXTS[settings["corruption"]].format(
        share=f"{settings['mask_percent']:.0%}",
        moves=", ".join(map(str, settings["rc_range"])),
    )
    return f"Objectives: {corruption}; {pianoroll}."


def _epochs(settings: dict, record: dict) -> str:
    told = {
        "epochs": record.get("epoch"),
        "steps": record.get("step"),
        "notes of a segment": settings.get("max_seq_len"),
        "segments of a step": settings.get("batch_size"),
        "learning rate": settings.get("lr"),
        "seed": settings.get("seed"),
        "precision": settings.get("precision"),
        "begun from": settings.get("init_ckpt"),
    }
    return _table(("setting", "value"), told)


def _validation(record: dict) -> str:
    accuracies = record.get("valid_acc", [])
    told = {"loss": record.get("valid_loss")}
    if len(accuracies) == len(FIELDS):
        told |= {f"accuracy, {n}": a for n, a in zip(FIELDS, accuracies, strict=True)}
    table = _table(("validation (accuracy: at changed notes)", "value"), told)
    return table or NOT_RECORDED


# Fine-tuned ------------------------------------------------------------------------------------


def _tell_classifier(architecture: str, entries: dict, record: dict) -> dict[str, str]:
    task, classes = entries["task"], list(entries["id2label"].values())
    known = TASKS.get(task)
    level, title = entries["level"], known.title if known else task or "a task of one's own"
    metric = record.get("metric") or (known.metric if known else "")
    return {
        "tags": json.dumps([*TAGS, "fine-tuned", *([task] if task else [])]),
        "metrics": json.dumps(_hub_metrics(metric) if "test_score" in record else []),
        "title": f"M2BERT, fine-tuned: {title}",
        "what": f"A class for every {level}, of {len(classes)}: {_some(classes)}.",
        "data": _sets(record, known.corpus if known else None),
        "training": _fine_tuning(record, entries) or NOT_RECORDED,
        "scores": _test(record, metric),
        "use": USE_CLASSIFIER[architecture],
    }


def _some(classes: list[str], most: int = 40) -> str:
    more = f" and {len(classes) - most} more" if len(classes) > most else ""
    return ", ".join(classes[:most]) + more


def _hub_metrics(metric: str) -> list[str]:
    """A score by the name that hubs know it by."""
    return ["f1" if metric == "f1" else "accuracy"]


def _sets(record: dict, corpus: str | None) -> str:
    data = record.get("data")
    if not data:
        return NOT_RECORDED
    rows = {name: f"{data[name]['segments']:,} | {data[name]['notes']:,}" for name in SPLITS}
    named = f"Labelled notes of the corpus {corpus}." if corpus else ""
    corpora = record.get("pretraining", {}).get("datasets")
    before = f"The encoder was pre-trained on {', '.join(corpora)}." if corpora else ""
    return _paragraphs(named, _table(("set", "segments", "notes"), rows), before)


def _fine_tuning(record: dict, entries: dict) -> str:
    settings = record.get("settings", {})
    begun = "random weights" if settings else None
    if settings.get("pretrained"):
        begun = f"a pre-trained model (SHA-256 {settings['checkpoint_sha256']}...)"
    told = {
        "begun from": begun,
        "epochs": record.get("epochs"),
        "best epoch, which this is": record.get("best_epoch"),
        "seed": record.get("seed"),
        "fold that was tested": record.get("fold"),
        "learning rate": settings.get("lr"),
        "segments of a batch": settings.get("batch_size"),
        "precision": settings.get("precision"),
    }
    if not any(value is not None for value in told.values()):
        return ""
    return _table(("setting", "value"), told | {"layer that is read": entries["index_layer"]})


def _test(record: dict, metric: str) -> str:
    title = METRIC_TITLES.get(metric, "score")
    told = {
        f"{title}, validation": record.get("valid_score"),
        f"{title}, test": record.get("test_score"),
        "the same without its dependence on batches, test": record.get("clean_test_score"),
        "always answering the commonest class, test": record.get("commonest_class_score"),
    }
    return _table(("score", "value"), told) or NOT_RECORDED


# Markdown --------------------------------------------------------------------------------------


def _table(head: tuple[str, ...], rows: dict) -> str:
    """A table of what is known, of which the values may be several cells; empty without any."""
    lines = [f"| {name} | {value} |" for name, value in rows.items() if value is not None]
    return "\n".join([f"| {' | '.join(head)} |", "|---" * len(head) + "|", *lines]) if lines else ""


def _paragraphs(*texts: str) -> str:
    return "\n\n".join(filter(None, texts))
