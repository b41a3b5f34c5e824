"""Model cards in Markdown, with the metadata that model hubs read: what a model is, its data,
training and scores, and how to use it. A card is generated from the other files of the folder."""

from textwrap import shorten

from m2bert.base.settings import flat
from m2bert.model.task_entries import defined_task
from m2bert.notes.cp import FIELDS
from m2bert.tasks import METRIC_TITLES, PADDING, TASKS

LIBRARY = "m2bert"
NOT_RECORDED = "Not recorded."

TEXT = """\
---
library_name: m2bert
license: {licence_name}
tags: [music, symbolic-music, midi, compound-word]
---

# {title}

{what}

The model reads Compound Word notes (Bar, Position, Pitch, Duration) with a ModernBERT encoder of
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
"""Entries of the record of a published model: the licence of its weights, an identifier of
model hubs; its training data, the authors of the data, and its limits, in sentences."""

AVERAGED_SCORES = "averaged_scores"
"""Entry of such a record, or missing: scores of averages over windows, transpositions and
models, by their names in the card."""

UNKNOWN_LICENCE = """\
The licences of the training data apply to the weights (`docs/prepare.md` of the code lists those of
the usual corpora, some of which are for research only)."""

_EMBED = """\
vector = model.embed("song.mid")  # (hidden_size,)
vectors = model.embed("song.mid", level="bar")  # or "note": (bars or notes, hidden_size)"""

USES = {
    "M2BertModel": _EMBED,
    "M2BertForPreTraining": _EMBED,
    "NoteClassifier": """\
found = model.predict("song.mid")
names = found.names  # one label per note, None for drums
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
    record: how the model was trained, as `folder.read_record` returns it; any entry may be missing.
    sha256: checksum of the weights file, in hexadecimal digits.
    """
    describe = _describe_classifier if "id2label" in entries else _describe_encoder
    title, what, sentences, scores = describe(entries, record)
    facts = {name: record[name] for name in FACTS if name in record}
    training = {n: v for n, v in record.items() if n not in (*FACTS, AVERAGED_SCORES, "learn")}
    data, licence = " ".join(sentences) or NOT_RECORDED, UNKNOWN_LICENCE
    if facts:
        data += f" {facts['trained_on']}\n\nLimits: {facts['limits']}"
        licence = f"The licence of the weights is `{facts['licence']}`. {facts['attribution']}"
    return TEXT.format(
        licence_name=facts.get("licence", "other\nlicense_name: that-of-the-training-data"),
        title=title,
        what=what,
        layers=entries["num_hidden_layers"],
        width=entries["hidden_size"],
        data=data,
        training=_table(flat(training)),
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
        songs, notes = settings["songs"], settings["notes"]
        data += [f"The model was pre-trained on {songs:,} songs with {notes:,} notes: {corpora}."]
        data += ["Some of these songs were used for validation only."]
    elif source := record.get("converted_from"):
        data += [f"The weights are from the checkpoint `{source}`, which does not record its data."]
    title = f"M2BERT, pre-trained on {corpora}" if corpora else "M2BERT"
    what = "An encoder of symbolic music, for fine-tuning and embeddings."
    accuracies = zip(FIELDS, record.get("valid_acc", []), strict=False)
    scores = {f"accuracy of {f} at corrupted notes, validation": value for f, value in accuracies}
    return title, what, data, scores


def _describe_classifier(entries: dict, record: dict) -> Description:
    classes = [label for label in entries["id2label"].values() if label != PADDING]
    name, data = entries["task"], []
    task = defined_task(entries, "config.json")
    if train := record.get("data", {}).get("train"):
        of_corpus = f" of {task.corpus}" if task and name in TASKS else ""
        data += [
            f"The model was fine-tuned on {train['segments']:,} labelled segments{of_corpus} with "
            f"{train['notes']:,} notes."
        ]
    own = record.get("learn", {})
    if songs := own.get("songs"):
        counts = ", ".join(f"{part} {count:,}" for part, count in songs.items())
        data += [f"Songs of the task: {counts}."]
    if corpora := record.get("pretraining", {}).get("datasets"):
        data += [f"The encoder was pre-trained on {', '.join(corpora)}."]
    title = f"M2BERT, fine-tuned: {task.title if task else name or 'own task'}"
    named = shorten(", ".join(classes), 500, placeholder=" ...")
    what = f"A classifier of {entries['level']}s with {len(classes)} classes: {named}."
    metric = METRIC_TITLES.get(record.get("metric", ""), "score")
    scores = own.get("scores") or {
        f"{metric}, validation": record.get("valid_score"),
        f"{metric}, test": record.get("test_score"),
        f"{metric} on the clean grid, test": record.get("clean_test_score"),
        "always predicting the majority class, test": record.get("majority_class_score"),
        "the paper's model of 62 million parameters, test": record.get("published_score"),
    }
    scores |= record.get(AVERAGED_SCORES, {})
    return title, what, data, scores


def _table(rows: dict) -> str:
    """A table of what was recorded."""
    lines = [f"| {name} | {value} |" for name, value in rows.items() if value is not None]
    return "\n".join(["| | |", "|---|---|", *lines]) if lines else NOT_RECORDED
