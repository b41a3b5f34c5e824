"""Task files, and the errors for those that do not define a task."""

import json
from dataclasses import replace

import pytest

from m2bert.annotation.tables import note_records
from m2bert.base.errors import UserError
from m2bert.finetuning.task_file import read_tasks, write_task
from m2bert.model.task_entries import RESERVED, task_entries
from m2bert.tasks import Task
from tests.helpers.annotation_samples import made_up_annotation, made_up_song

VOICES = Task("声部 🎻", "voices", "note", ("padding", "上", "👨‍👩‍👧"), "labelled_accuracy")
FORM = Task("form", "form", "piece", ("a", "b"), "macro_f1", corpus="pop909", seeds=(1, 2), folds=5)


def test_read_tasks_reads_what_write_task_wrote(tmp_path):
    (tmp_path / "other").mkdir()
    for task in (VOICES, FORM):
        path = write_task(task, tmp_path)
        assert path == tmp_path / f"{task.name}.task.json"
    write_task(FORM, tmp_path / "other")  # the same
    assert read_tasks([tmp_path, tmp_path / "other", tmp_path / "gone"]) == {
        "form": FORM,
        "声部 🎻": VOICES,
    }
    path.write_text(json.dumps(task_entries(replace(FORM, title="other"))))
    with pytest.raises(UserError, match=r"form.task.json and .* define 'form' differently: rename"):
        read_tasks([tmp_path, tmp_path / "other"])


def test_task_entries_omit_defaults():
    assert task_entries(VOICES) == {
        "format_version": 1,
        "name": "声部 🎻",
        "title": "voices",
        "level": "note",
        "classes": ["padding", "上", "👨‍👩‍👧"],
        "metric": "labelled_accuracy",
    }


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format_version": 2}, "the task has format version 2, this release reads 1"),
        ({"format_version": ...}, "the task has format version None"),
        ({"colour": "red"}, "'colour' is not an entry of a task"),
        ({"title": ...}, "the task has no title"),
        ({"title": 5}, "title is 5"),
        ({"classes": "ab"}, "classes is 'ab'"),
        ({"classes": ["a", 1]}, "classes is \\['a', 1\\]"),
        ({"folds": True}, "folds is True"),
        ({"seeds": [1, 1]}, "seeds are not different numbers"),
        ({"seeds": [-1]}, "seeds are not different numbers"),
        ({"folds": 2}, "a cross-validation needs at least 3 folds"),
        ({"level": "bar"}, "the level is 'bar', not note or piece"),
        ({"metric": "note_accuracy"}, "'note_accuracy' is not a metric of tasks of pieces; these"),
        ({"loss_on": "beats"}, "loss_on is 'beats', not notes or labelled"),
        ({"classes": ["a"]}, "a task needs at least two classes"),
        ({"classes": ["a", "b", "a"]}, "two classes have the same name"),
        ({"classes": ["a", ""]}, "'' is not a name"),
        ({"name": "../form"}, "'../form' cannot be part of a file name"),
        ({"corpus": "a\\b"}, "cannot be part of a file name"),
        ({"name": "a,b"}, "'a,b' cannot be part of a file name or header"),
        ({"name": "x" * 101}, "cannot be part of a file name"),
        ({"name": ""}, "'' is not a name"),
        ({"name": "a\nb"}, r"'a\\nb' is not a name"),
        ({"name": "\ud800"}, r"'\\ud800' is not a name"),
        ({"name": "Melody"}, "the name 'Melody' is reserved: choose another one"),
        ({"title": "local keys"}, "the name 'local keys' is reserved"),
        ({"name": "track_name"}, "the name 'track_name' is reserved"),
        ({"names_pitches": True}, "names_pitches, but the classes have other names"),
    ],
)
def test_read_tasks_rejects_what_does_not_define_a_task(tmp_path, changes, message):
    entries = {n: v for n, v in (task_entries(FORM) | changes).items() if v is not ...}
    path = tmp_path / "form.task.json"
    path.write_text(json.dumps(entries))
    with pytest.raises(UserError, match=f"^{path}: .*{message}") as rejected:
        read_tasks([tmp_path])
    assert "\n" not in str(rejected.value)


def test_write_task_rejects_what_could_not_be_read(tmp_path):
    with pytest.raises(UserError, match="two classes have the same name"):
        write_task(replace(FORM, classes=("a", "a")), tmp_path)
    assert not list(tmp_path.iterdir())


def test_names_of_the_columns_of_notes_are_reserved():
    columns = note_records(made_up_annotation(made_up_song(4)))[0]
    others = {name for name in columns if not name.endswith(("_probability", "_span", "_shown"))}
    assert others <= RESERVED
