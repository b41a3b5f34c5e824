"""The card of a model: what it is, what it was trained on and how, how good it is, how to use it.

Markdown, with the front matter in which model hubs look for licence, tags and scores. A card is
made of what the model's folder holds; of the rest it says that it was not recorded.
"""

from huggingface_hub import EvalResult, ModelCardData

from m2bert.base.settings import flat
from m2bert.notes.cp import FIELDS
from m2bert.tasks import METRIC_TITLES, TASKS

LIBRARY = "m2bert"
TAGS = ["music", "symbolic-music", "midi", "compound-word"]
NOT_RECORDED = "This was not recorded."
MOST_CLASSES = 40
"""Classes of a task that a card names."""

TEXT = """\
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

The code is under the MIT licence. {licence}

## Checksum

`model.safetensors` has the SHA-256 `{sha256}`.
"""

FACTS = ("licence", "trained_on", "attribution", "limits")
"""What the record of a model that is passed on tells besides: the licence of its weights, as hubs
name it; the data, who made it, and where the model fails, in sentences."""

UNKNOWN_LICENCE = """\
The weights were learnt from the data named above: they may be used as the licences of that data
allow (some of the usual corpora are for research only; `docs/prepare.md` of the code lists
them)."""

USE_ENCODER = """\
from m2bert import M2BertModel

model = M2BertModel.from_pretrained("path/to/this/folder")
vector = model.embed("song.mid")  # (hidden_size,)
vectors = model.embed("song.mid", level="bar")  # or "note": (bars or notes, hidden_size)"""

USES = {
    "M2BertModel": USE_ENCODER,
    "M2BertForPreTraining": USE_ENCODER,
    "NoteClassifier": """\
from m2bert import NoteClassifier

model = NoteClassifier.from_pretrained("path/to/this/folder")
found = model.predict("song.mid")
names = found.names  # of each note's label, None for notes that are not read: drums
probabilities = found.probability""",
    "PieceClassifier": """\
from m2bert import PieceClassifier

model = PieceClassifier.from_pretrained("path/to/this/folder")
found = model.predict("song.mid")  # None if every note is shorter than a 64th
if found:
    probabilities = dict(zip(found.classes, found.probabilities))""",
}
"""An example for each of `folder.ARCHITECTURES`."""

HUB_TASKS = {"note": "token-classification", "piece": "sequence-classification"}


def model_card(architecture: str, entries: dict, record: dict, sha256: str) -> str:
    """The text of a card.

    architecture, entries: what `config.json` says of the model.
    record: how it was trained, as `folder.read_record` gives it; may lack anything.
    sha256: of the file of weights, in hexadecimal digits.
    """
    describe = _describe_classifier if "id2label" in entries else _describe_encoder
    title, what, data, tags, scores = describe(entries, record)
    facts = {name: record[name] for name in FACTS if name in record}
    licence = UNKNOWN_LICENCE
    if facts:
        data = f"{data} {facts['trained_on']}\n\nWhere it fails: {facts['limits']}"
        licence = f"That of the weights is `{facts['licence']}`: {facts['attribution']}"
    front = ModelCardData(
        license=facts.get("licence", "other"),
        license_name=None if facts else "that-of-the-training-data",
        library_name=LIBRARY,
        tags=[*TAGS, *tags],
        metrics=sorted({score.metric_type for score in scores}),
        model_name=title,
        eval_results=scores or None,
    )
    unit = entries.get("level")  # note or piece
    score_rows = {f"{s.metric_name}, {s.dataset_split}": s.metric_value for s in scores}
    score_rows |= {
        f"the commonest class of each {unit}, test": record.get("commonest_class_score"),
        "the paper's model of 62 million parameters, test": record.get("published_score"),
    }
    text = TEXT.format(
        title=title,
        what=what,
        layers=entries["num_hidden_layers"],
        width=entries["hidden_size"],
        data=data or NOT_RECORDED,
        licence=licence,
        training=_table("recorded", flat({n: v for n, v in record.items() if n not in facts}))
        or NOT_RECORDED,
        scores=_table("score", score_rows) or NOT_RECORDED,
        use=USES[architecture],
        sha256=sha256,
    )
    return f"---\n{front.to_yaml()}\n---\n\n{text}"


Description = tuple[str, str, str, list[str], list[EvalResult]]
"""Title, what the model is, its data (may be empty), tags and scores."""


def _describe_encoder(entries: dict, record: dict) -> Description:
    settings = record.get("training", {})
    corpora = ", ".join(settings.get("datasets", []))
    data = ""
    if corpora:
        data = (
            f"{settings['songs']:,} songs with {settings['notes']:,} notes: {corpora}. "
            "Some of the songs were held out for validation."
        )
    elif source := record.get("converted_from"):
        data = f"The weights are from the checkpoint `{source}`. The data was not recorded."
    scores = [
        EvalResult(
            task_type="fill-mask",
            task_name="pre-training",
            dataset_type="midi",
            dataset_name=corpora or "not recorded",
            dataset_split="validation",
            metric_type="accuracy",
            metric_name=f"accuracy of {field} at changed notes",
            metric_value=value,
        )
        for field, value in zip(FIELDS, record.get("valid_acc", []), strict=False)
    ]
    title = f"M2BERT, pre-trained on {corpora}" if corpora else "M2BERT"
    what = "An encoder of symbolic music, to be fine-tuned or to turn music into vectors."
    return title, what, data, ["pre-trained"] * bool(corpora), scores


def _describe_classifier(entries: dict, record: dict) -> Description:
    classes, level = list(entries["id2label"].values()), entries["level"]
    task = TASKS.get(entries["task"])
    title = task.title if task else entries["task"] or "a task of one's own"
    corpus = task.corpus if task else "not recorded"
    parts = []
    if train := record.get("data", {}).get("train"):
        parts += [f"{train['segments']:,} labelled segments with {train['notes']:,} notes."]
        parts += [f"They are of the corpus {corpus}."] * bool(task)
    if corpora := record.get("pretraining", {}).get("datasets"):
        parts += [f"The encoder was pre-trained on {', '.join(corpora)}."]
    metric = record.get("metric", "")
    metric_title = METRIC_TITLES.get(metric, "score")
    kinds = {
        "valid_score": ("validation", metric_title),
        "test_score": ("test", metric_title),
        "clean_test_score": ("test", f"{metric_title} without its dependence on batches"),
    }
    scores = [
        EvalResult(
            task_type=HUB_TASKS[level],
            task_name=title,
            dataset_type=corpus,
            dataset_name=corpus,
            dataset_split=split,
            metric_type="f1" if metric == "f1" else "accuracy",
            metric_name=name,
            metric_value=record[key],
        )
        for key, (split, name) in kinds.items()
        if record.get(key) is not None
    ]
    named = ", ".join(classes[:MOST_CLASSES])
    more = f" and {len(classes) - MOST_CLASSES} more" if len(classes) > MOST_CLASSES else ""
    what = f"A class for every {level}, of {len(classes)}: {named}{more}."
    tags = ["fine-tuned", *[entries["task"]] * bool(entries["task"])]
    return f"M2BERT, fine-tuned: {title}", what, " ".join(parts), tags, scores


def _table(head: str, rows: dict) -> str:
    """A table of what is known; empty without any."""
    lines = [f"| {name} | {value} |" for name, value in rows.items() if value is not None]
    return "\n".join([f"| {head} | |", "|---|---|", *lines]) if lines else ""
