"""The card of a model, made of the other files of its folder: what it is, what it was trained on
and how, its scores, how to use it. Markdown, with the front matter that model hubs read."""

from textwrap import shorten
from typing import Any

from huggingface_hub import EvalResult, ModelCardData

from m2bert.base.settings import flat
from m2bert.notes.cp import FIELDS
from m2bert.tasks import METRIC_TITLES, TASKS

LIBRARY = "m2bert"
TAGS = ["music", "symbolic-music", "midi", "compound-word"]
NOT_RECORDED = "This was not recorded."

TEXT = """\
---
{front}
---

# {title}

{what}

It reads Compound Word notes (Bar, Position, Pitch, Duration) with a ModernBERT encoder of {layers}
layers of width {width}, as in J.-Y. Wang and L. Su, *Improving BERT for symbolic music
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
from m2bert import {reader}

model = {reader}.from_pretrained("path/to/this/folder")
{use}
```

## Licence

The code is under the MIT licence. {licence}

## Checksum

`model.safetensors` has the SHA-256 `{sha256}`.
"""

FACTS = ("licence", "trained_on", "attribution", "limits")
"""Entries of the record of a published model: the licence of its weights, as hubs name it; its
data, who made the data, and where the model fails, in sentences."""

UNKNOWN_LICENCE = """\
The weights may be used as the licences of the training data allow (some of the usual corpora are
for research only; `docs/prepare.md` of the code lists them)."""

_EMBED = """\
vector = model.embed("song.mid")  # (hidden_size,)
vectors = model.embed("song.mid", level="bar")  # or "note": (bars or notes, hidden_size)"""

USES = {
    "M2BertModel": _EMBED,
    "M2BertForPreTraining": _EMBED,
    "NoteClassifier": """\
found = model.predict("song.mid")
names = found.names  # the label of each note, None for drums
probabilities = found.probability""",
    "PieceClassifier": """\
found = model.predict("song.mid")  # None if all notes are shorter than a 64th
if found:
    probabilities = dict(zip(found.classes, found.probabilities))""",
}
"""An example for each of `folder.ARCHITECTURES`."""


def model_card(architecture: str, entries: dict, record: dict, sha256: str) -> str:
    """The text of a card.

    architecture, entries: those of `config.json`.
    record: how the model was trained, as `folder.read_record` returns it; may lack anything.
    sha256: of the file of weights, in hexadecimal digits.
    """
    about = (_classifier if "id2label" in entries else _encoder)(entries, record)
    scores = {of: value for of, value in about["scores"].items() if value is not None}
    facts = {name: record[name] for name in FACTS if name in record}
    licence, data = UNKNOWN_LICENCE, " ".join(about["data"]) or NOT_RECORDED
    if facts:
        licence = f"The licence of the weights is `{facts['licence']}`: {facts['attribution']}"
        data += f" {facts['trained_on']}\n\nLimits: {facts['limits']}"
    results = [
        EvalResult(
            task_type=about["task_type"],
            task_name=about["task"],
            dataset_type=about["dataset"],
            dataset_name=about["dataset"],
            dataset_split=split,
            metric_type=about["metric"],
            metric_name=name,
            metric_value=value,
        )
        for (name, split), value in scores.items()
    ]
    front = ModelCardData(
        license=facts.get("licence", "other"),
        license_name=None if facts else "that-of-the-training-data",
        library_name=LIBRARY,
        tags=TAGS + about["tags"],
        metrics=[about["metric"]] * bool(scores),
        model_name=about["title"],
        eval_results=results or None,
    )
    rows = {f"{name}, {split}": value for (name, split), value in scores.items()} | {
        "majority class, test": record.get("commonest_class_score"),
        "the paper's model of 62 million parameters, test": record.get("published_score"),
    }
    return TEXT.format(
        front=front.to_yaml(),
        title=about["title"],
        what=about["what"],
        layers=entries["num_hidden_layers"],
        width=entries["hidden_size"],
        data=data,
        training=_table({n: v for n, v in flat(record).items() if n not in facts}),
        scores=_table(rows),
        reader=architecture.replace("ForPreTraining", "Model"),
        use=USES[architecture],
        licence=licence,
        sha256=sha256,
    )


def _encoder(entries: dict, record: dict) -> dict[str, Any]:
    """The part of a card that encoders have of their own; scores by name and split."""
    settings, data = record.get("training", {}), []
    corpora = ", ".join(settings.get("datasets", []))
    if corpora:
        data += [f"{settings['songs']:,} songs with {settings['notes']:,} notes: {corpora}."]
        data += ["Some of the songs were held out for validation."]
    elif source := record.get("converted_from"):
        data += [f"The weights are from the checkpoint `{source}`, without a record of the data."]
    accuracies = zip(FIELDS, record.get("valid_acc", []), strict=False)
    return dict(
        title=f"M2BERT, pre-trained on {corpora}" if corpora else "M2BERT",
        what="An encoder of symbolic music, for fine-tuning and for embeddings.",
        data=data,
        task_type="fill-mask",
        task="pre-training",
        dataset=corpora or "not recorded",
        metric="accuracy",
        scores={(f"accuracy of {f} at corrupted notes", "validation"): v for f, v in accuracies},
        tags=["pre-trained"] * bool(corpora),
    )


def _classifier(entries: dict, record: dict) -> dict[str, Any]:
    """The same part for classifiers."""
    classes, name, level = list(entries["id2label"].values()), entries["task"], entries["level"]
    named = shorten(", ".join(classes), 500, placeholder=" ...")
    task = TASKS.get(name)
    title = task.title if task else name or "own task"
    data = []
    if train := record.get("data", {}).get("train"):
        data += [f"{train['segments']:,} labelled segments with {train['notes']:,} notes."]
        data += [f"They are from the corpus {task.corpus}."] if task else []
    if corpora := record.get("pretraining", {}).get("datasets"):
        data += [f"The encoder was pre-trained on {', '.join(corpora)}."]
    metric = record.get("metric", "")
    score = METRIC_TITLES.get(metric, "score")
    return dict(
        title=f"M2BERT, fine-tuned: {title}",
        what=f"A classifier of {level}s with {len(classes)} classes: {named}.",
        data=data,
        task_type="token-classification" if level == "note" else "sequence-classification",
        task=title,
        dataset=task.corpus if task else "not recorded",
        metric="f1" if metric == "f1" else "accuracy",
        scores={
            (score, "validation"): record.get("valid_score"),
            (score, "test"): record.get("test_score"),
            (f"{score}, independent of batches", "test"): record.get("clean_test_score"),
        },
        tags=["fine-tuned", *([name] if name else [])],
    )


def _table(rows: dict) -> str:
    """A table of what was recorded."""
    lines = [f"| {name} | {value} |" for name, value in rows.items() if value is not None]
    return "\n".join(["| | |", "|---|---|", *lines]) if lines else NOT_RECORDED
