"""Finding files, and reading many in several processes."""

import os
from pathlib import Path

from m2bert.base.workers import DIED
from m2bert.notes.file_reading import read_files
from m2bert.notes.file_search import files_below
from m2bert.notes.skipped import UNREADABLE, RejectedSong
from tests.helpers.midi_files import write_midi


def read_name(path: Path) -> str:
    if path.name == "deadly":
        os._exit(3)
    if path.name == "bad":
        raise RejectedSong(UNREADABLE, "why")
    return path.name


def test_read_files_skips_rejected_files_and_those_whose_worker_dies():
    skipped = []
    files = [Path(name) for name in ("a", "deadly", "bad", "b")]
    assert list(read_files(read_name, files, 1, skipped)) == [(files[0], "a"), (files[3], "b")]
    assert skipped == [
        {"file": "deadly", "reason": DIED, "detail": "with exit status 3"},
        {"file": "bad", "reason": UNREADABLE, "detail": "why"},
    ]


def test_files_below_follows_links_once(tmp_path):
    write_midi(tmp_path / "music" / "b" / "one.mid")
    write_midi(tmp_path / "elsewhere" / "two.MIDI")
    (tmp_path / "music" / "b" / "back").symlink_to(tmp_path / "music")
    (tmp_path / "music" / "link").symlink_to(tmp_path / "elsewhere")
    assert files_below(tmp_path / "music") == ["b/one.mid", "link/two.MIDI"]


def test_files_below_ignores_hidden_files(tmp_path):
    for name in ("a.mid", "._a.mid", ".git/b.mid", "__MACOSX/a/._a.mid", "c/d.mid"):
        write_midi(tmp_path / ".music" / name)
    assert files_below(tmp_path / ".music") == ["a.mid", "c/d.mid"]
