"""Files that appear complete or not at all, and locks."""

import os
import signal
import subprocess
import sys
from contextlib import suppress

import pytest

from m2bert.base.errors import UserError
from m2bert.base.files import (
    read_json,
    remove_temporaries,
    replacing,
    try_lock,
    write_json,
    write_text,
)
from tests.helpers.shared import REPOSITORY


def test_replacing_writes_the_file_at_the_end_or_not_at_all(tmp_path):
    path = tmp_path / "new folder" / ("楽" * 85)  # 255 bytes
    write_text(path, "old")
    with replacing(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    with suppress(KeyboardInterrupt), replacing(path) as temporary:
        temporary.write_text("half")
        raise KeyboardInterrupt
    assert path.read_text() == "new"
    assert list(path.parent.iterdir()) == [path]


def test_replacing_names_the_file_in_errors(tmp_path):
    with (
        pytest.raises(OSError, match=r"file could not be written.*full"),
        replacing(tmp_path / "file"),
    ):
        raise OSError("the disk is full")
    with pytest.raises(UserError, match="there is a folder of that name"):
        write_text(tmp_path, "text")


def test_remove_temporaries_removes_nothing_else(tmp_path):
    kept = {".hidden", "a.tmp", ".a.tmp", ".lock", ".a.7.tmp.json"}
    for name in (*kept, ".state.safetensors.41.tmp"):
        (tmp_path / name).touch()
    remove_temporaries(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == kept


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "Git LFS pointer"),
        (b"\xef\xbb\xbf\n<!DOCTYPE html>\n<p>not found", "a web page"),
        (b"{", "it is damaged"),
        (None, "No such file"),
        (b"[1]", ""),
        (b"\xff\xfe", ""),
    ],
)
def test_read_json_returns_the_value_or_names_what_is_in_its_place(tmp_path, content, words):
    value = {"name": "Träumerei ♭", "counts": [1, 2.5, None]}
    write_json(tmp_path / "config.json", value)
    assert read_json(tmp_path / "config.json") == value
    (tmp_path / "config.json").unlink()
    if content is not None:
        (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(UserError, match=f"config.json .*{words}"):
        read_json(tmp_path / "config.json")


HOLDS_A_LOCK = """
import os, sys, time
from pathlib import Path
from m2bert.base.files import try_lock

lock = try_lock(Path(sys.argv[1]))
if not os.fork():
    print(os.getpid(), flush=True)  # by the child: by now it has let go of what it inherited
time.sleep(600)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_try_lock_ends_with_its_process_though_a_child_lives_on(tmp_path):
    """As the processes that read batches do for some seconds."""
    path = tmp_path / "new folder/.lock"
    line = [sys.executable, "-c", HOLDS_A_LOCK, str(path)]
    with subprocess.Popen(line, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as holder:
        child = int(holder.stdout.readline())
        try:
            assert try_lock(path) is None
            holder.kill()
            holder.wait()
            lock = try_lock(path)
            assert try_lock(path) is None
            lock.release()
            assert try_lock(path) is not None
        finally:
            os.kill(child, signal.SIGKILL)
