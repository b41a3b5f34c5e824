import multiprocessing
import os
import signal
from contextlib import suppress

import pytest

from m2bert.base.errors import UserError
from m2bert.base.outputs import RECORD, output_files


def write(folder, overwrite=False, **texts):
    names = [name.replace("_", ".") for name in texts]
    with output_files(folder, names, overwrite) as temporary:
        for name, text in zip(names, texts.values(), strict=True):
            (temporary / name).write_text(text)


def texts(folder):
    return {p.name: p.read_text() for p in folder.iterdir() if p.name != RECORD}


def test_output_files_appear_together_or_not_at_all(tmp_path):
    out = tmp_path / "new"
    with output_files(out) as temporary:
        (temporary / "a").write_text("1")
        (temporary / "plots").mkdir()
        (temporary / "plots/b").write_text("2")
        assert [path.is_dir() for path in out.iterdir()] == [True]
    assert ((out / "a").read_text(), (out / "plots/b").read_text()) == ("1", "2")
    with suppress(KeyboardInterrupt), output_files(out) as temporary:
        (temporary / "a").write_text("3")
        raise KeyboardInterrupt
    assert (out / "a").read_text() == "1"
    assert sorted(path.name for path in out.iterdir()) == [RECORD, "a", "plots"]


def test_output_files_replaces_files_of_commands(tmp_path):
    write(tmp_path, a_csv="1", a_json="1")
    write(tmp_path, a_csv="2", a_json="2")
    write(tmp_path, a_csv="1", a_json="1")
    assert texts(tmp_path) == {"a.csv": "1", "a.json": "1"}
    moved = tmp_path.rename(tmp_path.with_name("moved"))
    write(moved, a_csv="3", a_json="3")
    assert texts(moved) == {"a.csv": "3", "a.json": "3"}


@pytest.mark.parametrize("changed", [False, True])
def test_output_files_keeps_files_of_the_user(tmp_path, changed):
    if changed:
        write(tmp_path, a_csv="1", a_json="1")
    (tmp_path / "a.csv").write_text("corrected by hand")
    before = texts(tmp_path)
    with pytest.raises(UserError, match=r"a\.csv was not written by this program, or was changed"):
        output_files(tmp_path, ["a.json", "a.csv"]).__enter__()  # it is known before the work
    with (
        pytest.raises(UserError, match=r"a\.csv was not written"),
        output_files(tmp_path) as temporary,
    ):
        (temporary / "a.csv").write_text("2")
    assert texts(tmp_path) == before
    write(tmp_path, overwrite=True, a_csv="2", a_json="2")
    write(tmp_path, a_csv="3", a_json="3")  # now it is the command's
    assert texts(tmp_path) == {"a.csv": "3", "a.json": "3"}


def test_output_files_checks_names_before_the_work(tmp_path):
    (tmp_path / "a").mkdir()
    for name, words in (("a", "there is a folder of that name"), ("x" * 300, "name too long")):
        with pytest.raises((UserError, OSError), match=f"(?i){words}") as raised:
            output_files(tmp_path, [name]).__enter__()
        assert "tmp_" not in str(raised.value)
    assert texts(tmp_path / "a") == {}


def write_and_die(folder):
    with output_files(folder) as temporary:
        (temporary / "a").write_text("1")
        os.kill(os.getpid(), signal.SIGKILL)


def test_output_files_removes_what_a_killed_command_left(tmp_path):
    process = multiprocessing.get_context("fork").Process(target=write_and_die, args=(tmp_path,))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert len(list(tmp_path.iterdir())) == 1
    with output_files(tmp_path, ["a"]) as first:
        write(tmp_path, c="2")  # of another command at the same time
        (first / "a").write_text("2")
    assert texts(tmp_path) == {"a": "2", "c": "2"}
