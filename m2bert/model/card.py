"""The card of a model, made of the other files of its folder: what it is, what it was trained on
and how, its scores, how to use it. Markdown, with the metadata that model hubs read."""

from textwrap import shorten

from m2bert.base.settings import flat
from m2bert.notes.cp import FIELDS
from m2bert.tasks import METRIC_TITLES, TASKS

LIBRARY = "m2bert"
NOT_RECORDED = "This was not recorded."

TEXT = """\
---
library_name: m2bert
license: {licence_name}
tags: [music, symbolic-music, midi, compound-word]
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
    describe = _describe_classifier if "id2label" in entries else _describe_encoder
    title, what, sentences, scores = describe(entries, record)
    facts = {name: record[name] for name in FACTS if name in record}
    data, licence = " ".join(sentences) or NOT_RECORDED, UNKNOWN_LICENCE
    if facts:
        data += f" {facts['trained_on']}\n\nLimits: {facts['limits']}"
        licence = f"The licence of the weights is `{facts['licence']}`: {facts['attribution']}"
    return TEXT.format(
        licence_name=facts.get("licence", "other\nlicense_name: that-of-the-training-data"),
        title=title,
        what=what,
        layers=entries["num_hidden_layers"],
        width=entries["hidden_size"],
        data=data,
        training=_table({n: v for n, v in flat(record).items() if n not in facts}),
        scores=_table(scores),
        reader=architecture.replace("ForPreTraining", "Model"),
        use=USES[architecture],
        licence=licence,
        sha256=sha256,
    )


Description = tuple[str, str, list[str], dict]
"""Title, what the model is, sentences on its data, scores."""


def _describe_encoder(entries: dict, record: dict) -> Description:
    settings, data = record.get("training", {}), []
    corpora = ", ".join(settings.get("datasets", []))
    if corpora:
        data += [f"{settings['songs']:,} songs with {settings['notes']:,} notes: {corpora}."]
        data += ["Some of the songs were held out for validation."]
    elif source := record.get("converted_from"):
        data += [f"The weights are from the checkpoint `{source}`, without a record of the data."]
    title = f"M2BERT, pre-trained on {corpora}" if corpora else "M2BERT"
    what = "An encoder of symbolic music, for fine-tuning and for embeddings."
    accuracies = zip(FIELDS, record.get("valid_acc", []), strict=False)
    scores = {f"accuracy of {f} at corrupted notes, validation": value for f, value in accuracies}
    return title, what, data, scores


def _describe_classifier(entries: dict, record: dict) -> Description:
    classes, name, data = entries["id2label"].values(), entries["task"], []
    task = TASKS.get(name)
    if train := record.get("data", {}).get("train"):
        data += [f"{train['segments']:,} labelled segments with {train['notes']:,} notes."]
        data += [f"They are from the corpus {task.corpus}."] if task else []
    if corpora := record.get("pretraining", {}).get("datasets"):
        data += [f"The encoder was pre-trained on {', '.join(corpora)}."]
    title = f"M2BERT, fine-tuned: {task.title if task else name or 'own task'}"
    named = shorten(", ".join(classes), 500, placeholder=" ...")
    what = f"A classifier of {entries['level']}s with {len(classes)} classes: {named}."
    metric = METRIC_TITLES.get(record.get("metric", ""), "score")
    scores = {
        f"{metric}, validation": record.get("valid_score"),
        f"{metric}, test": record.get("test_score"),
        f"{metric}, independent of batches, test": record.get("clean_test_score"),
        "majority class, test": record.get("commonest_class_score"),
        "the paper's model of 62 million parameters, test": record.get("published_score"),
    }
    return title, what, data, scores


def _table(rows: dict) -> str:
    """A table of what was recorded."""
    lines = [f"| {name} | {value} |" for name, value in rows.items() if value is not None]
    return "\n".join(["| | |", "|---|---|", *lines]) if lines else NOT_RECORDED
