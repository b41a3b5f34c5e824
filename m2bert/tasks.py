"""Tasks, and the twelve of SMCBenchmark (docs/METHOD.md, "Tasks").

A task of one's own is a file beside its data (docs/own_task.md) or another row in `_ROWS`.
"""

import re
from dataclasses import dataclass

SPLITS = ("train", "valid", "test")

SEGMENT_LENGTHS = {"note": 1024, "piece": 512}
"""Notes of a segment, by the level of the task."""

HIGH_RESOURCE = (2021,)
MID_RESOURCE = (2021, 2022)
LOW_RESOURCE = (2021, 2022, 2023, 2024)
"""Seeds of a task: more of them for less data."""

# The names of chord roots and keys in the order of their classes, which begin at 1. Sharps are `#`,
# flats `-`; minor keys are in lower case.
# fmt: off
CHORD_ROOTS = (
    "C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B",
    "B#", "D-", "E--", "E-", "F-", "E#", "G-", "A--", "A-", "B--", "B-", "C-",
    "D--", "B##", "C##", "F--", "D##", "G--", "E##", "F##", "G##", "C--", "A##",
)
LOCAL_KEYS = (
    "b", "A-", "f", "c", "D-", "d", "F", "A", "E", "C", "B-", "a", "c#", "D", "G-", "G", "e-",
    "E-", "g", "b-", "F#", "d#", "B", "f#", "C-", "e", "a-", "g#", "d-", "D#", "C#", "a#", "b#",
    "e#", "g-", "G#", "F-",
)
COMPOSERS = (
    "Bethel", "Clayderman", "Einaudi", "Hancock", "Hillsong", "Hisaishi", "Ryuichi", "Yiruma",
)
# The label of a bar is 4 x melody + 2 x rhythm + harmony.
ROLES = (
    "no role", "harmony", "rhythm", "rhythm+harmony", "melody", "melody+harmony", "melody+rhythm",
    "melody+rhythm+harmony",
)
# fmt: on

METRIC_TITLES = {
    # fraction of correct notes, those with label 0 included
    "note_accuracy": "accuracy",
    # of class 2 (beat, downbeat, motif) against class 1, without notes labelled or predicted as
    # another class
    "f1": "F1",
    # fraction of correct 16ths, each with the label of the last note before it, without 16ths whose
    # true label is 0
    "grid_accuracy": "16th-grid accuracy",
    # fraction of correct first notes of bars, as bars are labelled, without those labelled 0
    "bar_start_accuracy": "bar-start accuracy",
    # fraction of correct segments; a piece is cut into several
    "piece_accuracy": "accuracy",
    # fraction of correct notes, without those with label 0
    "labelled_accuracy": "accuracy of labelled notes",
    # mean F1 of the classes that occur, without notes with label 0; of pieces, over all segments
    "macro_f1": "macro F1",
}
"""Names of the metrics in tables; `finetuning.metrics` computes them."""

LEVEL_METRICS = {
    "note": tuple(name for name in METRIC_TITLES if name != "piece_accuracy"),
    "piece": ("piece_accuracy", "macro_f1"),
}
"""The metrics of tasks by level."""

PADDING = "padding"
"""Name of class 0 in tasks whose labels of notes begin at 1."""


@dataclass(frozen=True)
class Task:
    """A task: its files, its metric, its runs.

    Attributes:
        name: its name in commands, in folders, and in the names of its label files.
        title: its name in words.
        level: "note" (one label per note) or "piece" (one per segment, that of its piece).
        classes: names of the classes, from label 0.
        metric: one of `LEVEL_METRICS`.
        acronym: its name in tables; by default its title.
        corpus: name of the data set, by default `name`; files are `CORPUS_SPLIT.npy` and
            `CORPUS_SPLIT_NAMEans.npy`.
        seeds: one run each, by the benchmark's policy.
        folds: parts of a cross-validation; 0 for a task with training, validation and test files.
        loss_on: the notes that a note task is trained on: "notes" (all but padding) or "labelled"
            (those whose label is not 0).
        moved_to_validation: how many segments at the end of the training file are used for
            validation instead (at most a quarter of them, if the data is small).
        by_track: whether an item of its data is one instrument, not the full piece.
        names_pitches: whether its classes are names of pitches or keys, which transpose.
        at_pitch: whether transposition would make its labels wrong.
    """

    name: str
    title: str
    level: str
    classes: tuple[str, ...]
    metric: str
    acronym: str = ""
    corpus: str = ""
    seeds: tuple[int, ...] = HIGH_RESOURCE
    folds: int = 0
    loss_on: str = "notes"
    moved_to_validation: int = 0
    by_track: bool = False
    names_pitches: bool = False
    at_pitch: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "acronym", self.acronym or self.title)
        object.__setattr__(self, "corpus", self.corpus or self.name)

    @property
    def segment_length(self) -> int:
        """Notes of a segment."""
        return SEGMENT_LENGTHS[self.level]

    @property
    def batch_size(self) -> int:
        """Segments of a batch, in training and where the metric depends on it."""
        return {"note": 6, "piece": 12}[self.level]

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts of the data, as in file names."""
        return tuple(f"fold_{k}" for k in range(self.folds)) or SPLITS

    @property
    def test_folds(self) -> tuple[int | None, ...]:
        """The test folds that a seed is trained for; a single None without a cross-validation."""
        return tuple(range(self.folds)) or (None,)

    def file_names(self, part: str) -> tuple[str, str]:
        """Names of a part's files: of its notes and of its labels."""
        stem = f"{self.corpus}_{part}"
        return f"{stem}.npy", f"{stem}_{self.name}ans.npy"


def key_name(key: str) -> str:
    """A key in words: "B- major" for `B-`, "F# minor" for `f#`."""
    return f"{key[0].upper()}{key[1:]} {'minor' if key[0].islower() else 'major'}"


def place_in_fifths(name: str) -> tuple[int, bool] | None:
    """The place of a root or key on the line of fifths (... B- F C G D ... = ... -2 -1 0 1 2 ...),
    and whether it is a minor key; None for other names."""
    spelled = re.fullmatch(r"([A-G])(#*|-*)( major| minor)?", name)
    if not spelled:
        return None
    letter, accidentals, mode = spelled.groups()
    sharps = accidentals.count("#") - accidentals.count("-")
    return "FCGDAEB".index(letter) - 1 + 7 * sharps, mode == " minor"


def fifths_name(place: int, sharp: str = "#", flat: str = "b") -> str:
    """The name at a place on the line of fifths: "Bb" for -2."""
    alteration, letter = divmod(place + 1, 7)
    return "FCGDAEB"[letter] + (sharp if alteration > 0 else flat) * abs(alteration)


FINGERING = re.compile(r"string ([GDAE]), position (\d+), finger (\d)")


def fingering_name(label: int) -> str:
    """A violin fingering in words; string, position and finger are numbered together from 2."""
    string, within = divmod(label - 2, 60)
    position, finger = divmod(within, 5)
    return f"string {'GDAE'[string]}, position {position + 1}, finger {finger}"


# A row is: name, title, level; acronym, corpus; then its classes, its score and its runs.
# fmt: off
_ROWS = (
    Task("genre", "genre", "piece", acronym="SGC", corpus="tagatraum",
         classes=tuple(f"genre {number}" for number in range(5)),
         metric="piece_accuracy", seeds=HIGH_RESOURCE),
    Task("beat", "beats", "note", acronym="BP", corpus="pm2s",
         classes=(PADDING, "no beat", "beat"),
         metric="f1", seeds=HIGH_RESOURCE, moved_to_validation=500),
    Task("downbeat", "downbeats", "note", acronym="DbP", corpus="pm2s",
         classes=(PADDING, "no downbeat", "downbeat"),
         metric="f1", seeds=HIGH_RESOURCE, moved_to_validation=500),
    Task("chordroot", "chord roots", "note", acronym="CR", corpus="augnet",
         classes=(PADDING, *CHORD_ROOTS),
         metric="grid_accuracy", seeds=MID_RESOURCE, names_pitches=True),
    Task("localkey", "local keys", "note", acronym="LK", corpus="augnet",
         classes=(PADDING, *map(key_name, LOCAL_KEYS)),
         metric="grid_accuracy", seeds=MID_RESOURCE, names_pitches=True),
    Task("melody", "melody", "note", acronym="ME", corpus="pop909",
         classes=(PADDING, "melody", "bridge", "accompaniment"),
         metric="note_accuracy", seeds=MID_RESOURCE),
    Task("velocity", "velocity", "note", acronym="VE", corpus="pop909",
         classes=(PADDING, "0-31", "32-47", "48-63", "64-79", "80-95", "96-127"),
         metric="note_accuracy", seeds=MID_RESOURCE),
    Task("texture", "orchestral texture", "note", acronym="OTC", corpus="orch",
         classes=ROLES,
         metric="bar_start_accuracy", seeds=MID_RESOURCE, loss_on="labelled", by_track=True),
    Task("composer", "composer", "piece", acronym="PS", corpus="pianist8",
         classes=COMPOSERS,
         metric="piece_accuracy", seeds=MID_RESOURCE, folds=5),
    Task("emotion", "emotion", "piece", acronym="ER", corpus="emopia",
         classes=("Q1", "Q2", "Q3", "Q4"),
         metric="piece_accuracy", seeds=MID_RESOURCE, folds=5),
    Task("violin_all", "violin fingering", "note", acronym="VF", corpus="tnua",
         classes=("no fingering", "unused", *map(fingering_name, range(2, 241))),
         metric="note_accuracy", seeds=LOW_RESOURCE, by_track=True, at_pitch=True),
    Task("mnid", "motif notes", "note", acronym="MNID", corpus="bps_motif",
         classes=(PADDING, "no motif", "motif"),
         metric="f1", seeds=MID_RESOURCE, folds=5),
)

TASKS = {task.name: task for task in _ROWS}
"""Every task by its name, in the order of the published table."""
