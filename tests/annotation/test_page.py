"""The data of the page of an annotation."""

import gzip
import json
import re
from base64 import b64decode
from dataclasses import replace
from html.parser import HTMLParser
from operator import itemgetter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from m2bert.annotation.colours import class_colours
from m2bert.annotation.labels import Annotation, shown_labels
from m2bert.annotation.names import pitch_name, readable_name
from m2bert.annotation.page import TEMPLATE, write_page
from m2bert.annotation.tables import note_records, write_annotation_csv
from m2bert.base.outputs import sha256
from m2bert.model.predictions import NOT_READ
from m2bert.tasks import PADDING, TASKS
from tests.helpers.annotation_samples import (
    HOSTILE,
    NOTE_TASKS,
    annotated_waltz,
    made_up_annotation,
    made_up_song,
    note_labels,
)


class Reader(HTMLParser):
    """Collects the tags of a page and the text of its scripts and title, as a browser does."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags, self.texts, self.inside = [], {}, None
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.inside = dict(attributes).get("id") or tag

    def handle_endtag(self, tag):
        self.inside = None

    def handle_data(self, data):
        self.texts[self.inside] = self.texts.get(self.inside, "") + data

    @property
    def song(self) -> dict:
        return json.loads(self.texts["song"])


def written(annotation: Annotation, folder: Path) -> Reader:
    annotation.song.path.touch()
    write_page(annotation, folder / "song.html")
    return Reader((folder / "song.html").read_text(encoding="utf-8"))


@pytest.mark.parametrize(("notes", "unread"), [(1, 0.0), (1, 1.0), (300, 0.2)])
def test_page_has_every_note_and_its_labels(tmp_path, notes, unread):
    annotation = made_up_annotation(made_up_song(notes, tmp_path / "a song.mid"), unread=unread)
    page, read = written(annotation, tmp_path), annotation.song.notes
    song = page.song
    assert song["sha256"] == sha256(annotation.song.path)
    write_annotation_csv(annotation, tmp_path / "song.csv")
    table = (tmp_path / "song.csv").read_text(encoding="utf-8")
    assert gzip.decompress(b64decode(page.texts["table"])).decode() == table.removeprefix("\ufeff")
    for field in ("start", "end", "pitch", "velocity", "track"):
        assert song[field] == getattr(read, field).tolist()
    assert [task["name"] for task in song["tasks"]] == NOTE_TASKS
    for task in song["tasks"]:
        labels = annotation.note_labels[task["name"]]
        colours = class_colours(TASKS[task["name"]], labels.classes)
        shown, probability = shown_labels(annotation, task["name"])
        for note, (place, label) in enumerate(zip(task["label"], shown, strict=True)):
            assert (place == -1) == (label == NOT_READ)
            if label != NOT_READ:
                assert task["classes"][place] == readable_name(labels.classes[label])
                assert task["colours"][place] == colours[label]
                assert task["probability"][note] == round(1000 * float(probability[note]))
    for piece in song["pieces"]:
        labels = annotation.piece_labels[piece["name"]]
        assert piece["classes"] == [readable_name(name) for name in labels.classes]
        np.testing.assert_allclose(piece["probability"], 1000 * labels.probabilities, atol=0.5)
    for name, marked in annotation.marks.items():
        assert song["marks"][name] == [note for note in range(notes) if marked[note]]
    assert song["warnings"] == annotation.warnings
    records = sorted(note_records(annotation), key=itemgetter("index"))
    tables = [record["pitch_name"] for record in records]
    assert [name.replace("♯", "#").replace("♭", "b") for name in song["pitch_name"]] == tables
    seconds = np.interp(read.end, song["clock"]["tick"], song["clock"]["second"])
    np.testing.assert_allclose(seconds, annotation.song.seconds(read.end), atol=1e-5)


def test_page_has_spans_of_chords_and_keys_and_events_of_beats(tmp_path):
    waltz = annotated_waltz(tmp_path / "waltz.mid")
    labels = {name: np.full(21, 2) for name in ("beat", "downbeat")}
    more = {name: note_labels(name, label) for name, label in labels.items()}
    waltz = replace(waltz, note_labels=waltz.note_labels | more, tasks=TASKS)
    tasks = {task["name"]: task for task in written(waltz, tmp_path).song["tasks"]}
    c, g = (TASKS["chordroot"].classes.index(root) for root in "CG")
    c_minor = TASKS["localkey"].classes.index("C minor")
    chords = [[0, 1440, c, "Cm"], [1440, 2880, g, "G7/B"], [2880, 4320, c, "Cm"]]
    assert tasks["chordroot"]["spans"] == chords
    assert tasks["localkey"]["spans"] == [[0, 4320, c_minor, "C minor"]]
    assert tasks["beat"]["spans"] == tasks["chordroot"]["events"] == []
    assert tasks["beat"]["events"] == list(range(0, 4320, 480))
    assert tasks["downbeat"]["events"] == [0, 1440, 2880]


@hypothesis_settings(max_examples=15)
@given(st.text(max_size=60), st.text())
@example(HOSTILE, HOSTILE)
@example("caf\udce9.mid", "x")  # a byte that is not UTF-8
def test_names_cannot_inject_html(tmp_path_factory, file, track):
    folder = tmp_path_factory.mktemp("page")
    plain = written(made_up_annotation(made_up_song(2, folder / "a.mid"), ["melody"]), folder)
    path = folder / ("x" + file.replace("/", "").replace("\0", ""))
    song = made_up_song(2, path, (f"x{track}",))
    hostile = written(made_up_annotation(song, ["melody"]), folder)
    assert hostile.tags == plain.tags
    assert hostile.song["file"] == path.name.replace("\udce9", "\\xe9")
    # a line's end may be written in several ways
    assert hostile.texts["title"].split() == hostile.song["file"].split()
    assert hostile.song["tracks"] == [{"name": song.tracks[0].name, "is_drum": False}]


def test_readable_name_is_distinct_for_each_class():
    names = ["B- major", "C# minor", "E--", "F##", "bridge", "G major", "A", PADDING]
    shown = ["B♭ major", "C♯ minor", "E♭♭", "F♯♯", "second voice", "G major", "A", "no label"]
    assert [readable_name(name) for name in names] == shown
    for task in TASKS.values():
        assert len(set(map(readable_name, task.classes))) == len(task.classes)


@pytest.mark.parametrize(
    ("key", "names"),
    [
        (None, "C4 C#4 D4 Eb4 E4 F4 F#4 G4 Ab4 A4 Bb4 B4"),
        ("padding", "C4 C#4 D4 Eb4 E4 F4 F#4 G4 Ab4 A4 Bb4 B4"),
        ("A minor", "C4 C#4 D4 Eb4 E4 F4 F#4 G4 G#4 A4 Bb4 B4"),
        ("D major", "C4 C#4 D4 D#4 E4 F4 F#4 G4 G#4 A4 Bb4 B4"),
        ("A- major", "C4 Db4 D4 Eb4 Fb4 F4 Gb4 G4 Ab4 A4 Bb4 Cb5"),
        ("C# major", "B#3 C#4 C##4 D#4 E4 E#4 F#4 F##4 G#4 A4 A#4 B4"),
    ],
)
def test_pitch_name_is_spelled_by_the_key(key, names):
    assert [pitch_name(pitch, key) for pitch in range(60, 72)] == names.split()


def test_text_of_the_page_has_contrast_aa():
    def luminance(colour: str) -> float:
        srgb = np.array(list(bytes.fromhex(colour))) / 255
        linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
        return linear @ [0.2126, 0.7152, 0.0722]

    themes = re.findall(r":root \{([^}]*)\}", TEMPLATE.read_text(encoding="utf-8"))
    assert len(themes) == 2
    for theme in themes:
        light = {
            name: luminance(colour) for name, colour in re.findall(r"--([\w-]+): #(\w{6});", theme)
        }
        for text, ground in [(t, g) for t in ("text", "faint") for g in ("page", "paper", "warn")]:
            low, high = sorted((light[text], light[ground]))
            assert (high + 0.05) / (low + 0.05) >= 4.5, (text, ground)
