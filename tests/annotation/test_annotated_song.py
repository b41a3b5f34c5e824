"""Annotations in Python."""

import html
import re
import sys
from types import SimpleNamespace

import pytest

from m2bert.annotate import main
from m2bert.annotation.annotated_song import AnnotatedSong, annotate_song
from m2bert.annotation.page import page_text
from m2bert.annotation.tables import write_annotation_csv
from m2bert.base.errors import UserError
from m2bert.base.outputs import RECORD
from tests.helpers.annotation_samples import annotated_waltz, write_waltz
from tests.helpers.commands import call_main
from tests.helpers.tables import read_csv


@pytest.fixture
def waltz(tmp_path) -> AnnotatedSong:
    return AnnotatedSong(annotated_waltz(tmp_path / "<b> waltz.mid"))


def test_save_writes_the_files_of_the_command(tmp_path):
    song = write_waltz(tmp_path / "waltz.mid")
    call_main(main, song, "--out", tmp_path / "out", "--tasks", "keys", "chords")
    saved = annotate_song(song, tasks=["keys", "chords"]).save(tmp_path / "saved")
    written = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    del written[RECORD]
    assert {path.name: path.read_bytes() for path in saved} == written
    with pytest.raises(UserError, match="no model of Genres"):
        annotate_song(song, tasks=["Genres"])


def test_to_dataframe_has_the_rows_of_the_csv_file(waltz, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", SimpleNamespace(DataFrame=list))
    rows = waltz.to_dataframe()
    write_annotation_csv(waltz.annotation, tmp_path / "song.csv")
    found = [{name: str(cell) for name, cell in row.items()} for row in rows]
    assert found == read_csv(tmp_path / "song.csv")
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="to_dataframe needs pandas: pip install pandas"):
        waltz.to_dataframe()


def test_notebook_shows_the_summary_and_the_page(waltz):
    assert repr(waltz).startswith("<b> waltz.mid\n  key             C minor 100%")
    shown = waltz._repr_html_()
    pattern = r'<pre .*?>(.*)</pre>\s*<iframe .* srcdoc="([^"]*)"></iframe>'
    summary, page = re.fullmatch(pattern, shown, re.DOTALL).groups()
    assert html.unescape(summary) == repr(waltz)
    assert html.unescape(page) == page_text(waltz.annotation)
    assert "<" not in summary + page
