"""The page of an annotation: what it holds, and what it does in a real browser."""

import base64
import json
import re
from collections import Counter
from html.parser import HTMLParser
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from matplotlib.image import imread
from miditoolkit import Instrument, MidiFile, Note, TempoChange

from m2bert.annotation import NOT_READ, Annotation, NoteLabels, PieceLabels, spans
from m2bert.annotation_colours import class_colours
from m2bert.annotation_page import write_page
from m2bert.class_names import readable_name
from m2bert.midi import notes_of
from m2bert.song import Song
from m2bert.tasks import PADDING, TASKS
from tests.chromium import chromium, needs_chromium

NOTE_TASKS = [name for name, task in TASKS.items() if task.level == "note"]
PIECE_TASKS = [name for name, task in TASKS.items() if task.level == "piece"]
HOSTILE = '</script><img src=x onerror="window.broken=1"><!--\'&amp;{{song}}'


def made_up_song(notes: int, path: Path = Path("a song.mid"), names=("right", "left")) -> Song:
    rng = np.random.default_rng(notes)
    midi = MidiFile(ticks_per_beat=480)
    midi.tempo_changes = [TempoChange(90, 0), TempoChange(150.5, 4800)]
    for number, name in enumerate(names):
        part = Instrument(program=number, is_drum=number == 2, name=name)
        count = notes // len(names) + (number < notes % len(names))
        starts = rng.integers(0, 96 * notes, count)
        ends = starts + rng.integers(60, 1500, count)
        fields = zip(
            rng.integers(1, 128, count), rng.integers(21, 109, count), starts, ends, strict=True
        )
        part.notes = [Note(*map(int, field)) for field in fields]
        midi.instruments.append(part)
    return Song(path, midi, notes_of(midi))


def made_up_annotation(song: Song, tasks=tuple(TASKS), unread: float = 0.05) -> Annotation:
    """Labels at random, of whole percents so that rounding cannot hide a mistake."""
    rng = np.random.default_rng(7)
    was_read = rng.random(len(song)) >= unread

    def labels_of(classes: tuple[str, ...]) -> NoteLabels:
        label = rng.integers(len(classes) > 2, len(classes), len(song))
        percent = rng.integers(60, 100, len(song))
        rest = (100 - percent) / 100 / (len(classes) - 1)
        table = np.repeat(rest[:, None], len(classes), 1)
        table[np.arange(len(song)), label] = percent / 100
        table[~was_read] = np.nan
        return NoteLabels(classes, table.astype(np.float32))

    def piece_of(classes: tuple[str, ...]) -> PieceLabels:
        share = rng.dirichlet(np.ones(len(classes))).astype(np.float32)
        return PieceLabels(classes, share, share[None])

    return Annotation(
        song,
        {"short": ~was_read, "drums": song.is_drum},
        {name: labels_of(TASKS[name].classes) for name in NOTE_TASKS if name in tasks},
        {name: piece_of(TASKS[name].classes) for name in PIECE_TASKS if name in tasks},
        {name: [f"runs/seed_2021/{name}"] for name in tasks},
        ["The file has drums, which no model was trained on."],
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
    write_page(annotation, folder / "song.html")
    return Reader((folder / "song.html").read_text(encoding="utf-8"))


@pytest.mark.parametrize(("notes", "unread"), [(1, 0.0), (1, 1.0), (300, 0.2)])
def test_the_page_holds_every_note_and_its_labels(tmp_path, notes, unread):
    annotation = made_up_annotation(made_up_song(notes), unread=unread)
    song, read = written(annotation, tmp_path).song, annotation.song.notes
    for field in ("start", "end", "pitch", "velocity", "track"):
        assert song[field] == getattr(read, field).tolist()
    assert [task["name"] for task in song["tasks"]] == NOTE_TASKS
    for task in song["tasks"]:
        labels = annotation.note_labels[task["name"]]
        colours = class_colours(TASKS[task["name"]], labels.classes)
        assert -1 not in range(len(task["classes"]))
        for note, label in enumerate(labels.label):
            kept = task["label"][note]
            if label == NOT_READ:
                assert kept == -1
                continue
            assert task["classes"][kept] == readable_name(labels.classes[label])
            assert task["colours"][kept] == colours[label]
            assert task["probability"][note] == round(1000 * float(labels.probability[note]))
    for piece in song["pieces"]:
        labels = annotation.piece_labels[piece["name"]]
        assert piece["classes"] == [readable_name(name) for name in labels.classes]
        np.testing.assert_allclose(piece["probability"], 1000 * labels.probabilities, atol=0.5)
    for name, marked in annotation.marks.items():
        assert song["marks"][name] == [note for note in range(notes) if marked[note]]
    assert song["warnings"] == annotation.warnings


def test_stretches_and_moments_are_those_of_the_annotation(tmp_path):
    annotation = made_up_annotation(made_up_song(200))
    tasks = {task["name"]: task for task in written(annotation, tmp_path).song["tasks"]}
    for name, task in tasks.items():
        labels = annotation.note_labels[name]
        if name in ("chordroot", "localkey"):
            named = [(start, end, task["classes"][label]) for start, end, label in task["spans"]]
            assert named == [
                (span.start, span.end, readable_name(labels.classes[span.label]))
                for span in spans(annotation.song, labels)
            ]
        else:
            assert task["spans"] == []
        labelled = zip(labels.label, annotation.song.notes.start, strict=True)
        yes = labels.classes.index(name) if name in labels.classes else None
        onsets = {int(start) for label, start in labelled if label == yes}
        assert task["moments"] == (sorted(onsets) if name in ("beat", "downbeat") else [])


def test_time_goes_by_the_tempos(tmp_path):
    annotation = made_up_annotation(made_up_song(100), ["melody"])
    song = written(annotation, tmp_path).song
    ticks = annotation.song.notes.end
    seconds = np.interp(ticks, song["clock"]["tick"], song["clock"]["second"])
    np.testing.assert_allclose(seconds, annotation.song.seconds(ticks), atol=1e-5)


def test_stretches_without_a_label_are_not_shown(tmp_path):
    annotation = made_up_annotation(made_up_song(1), ["chordroot"], unread=0)
    labels = annotation.note_labels["chordroot"]
    labels.probabilities[:] = np.eye(len(labels.classes))[labels.classes.index(PADDING)]
    (task,) = written(annotation, tmp_path).song["tasks"]
    assert task["spans"] == []
    assert task["classes"] == ["no label"]


@hypothesis_settings(max_examples=15)
@given(st.text().map(lambda text: text.replace("/", "").replace("\0", "")), st.text())
def test_no_name_breaks_out_of_the_page(tmp_path_factory, file, track):
    folder = tmp_path_factory.mktemp("page")
    plain = written(made_up_annotation(made_up_song(2), ["melody"]), folder)
    for suffix in ("", HOSTILE):
        song = made_up_song(2, Path(f"x{file}{suffix.replace('/', '')}"), (f"x{track}{suffix}",))
        hostile = written(made_up_annotation(song, ["melody"]), folder)
        assert hostile.tags == plain.tags
        assert hostile.song["file"] == song.path.name
        # a line's end may be written in several ways
        assert hostile.texts["title"].split() == song.path.name.split()
        assert hostile.song["tracks"] == [{"name": song.tracks[0].name, "is_drum": False}]


def test_a_name_that_is_no_text_can_be_written(tmp_path):
    song = made_up_song(2, Path("caf\udce9.mid"))
    assert written(made_up_annotation(song), tmp_path).texts["title"] == "caf\ufffd.mid"


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS.keys())
def test_readable_names_stay_distinct(task):
    assert len(set(map(readable_name, task.classes))) == len(task.classes)


def test_pitch_names_are_written_as_musicians_do():
    names = ["B- major", "C# minor", "E--", "F##", "melody", "G major", "A"]
    shown = ["B♭ major", "C♯ minor", "E♭♭", "F♯♯", "melody", "G major", "A"]
    assert [readable_name(name) for name in names] == shown


# In a browser


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("chromium") / "profile") as page:
        yield page


@pytest.fixture(scope="module")
def long_song(tmp_path_factory):
    """A song of 5,000 notes with all tasks, and the path of its page."""
    annotation = made_up_annotation(made_up_song(5000, names=("right", "left", "sticks")))
    path = tmp_path_factory.mktemp("page") / "song.html"
    write_page(annotation, path)
    return SimpleNamespace(annotation=annotation, path=path)


@pytest.fixture
def opened(browser):
    """Opens pages; at the end they must have asked for nothing and complained of nothing."""

    def open_page(path: Path, **size: int):
        browser.requests.clear()
        browser.complaints.clear()
        browser.open(path, **size)
        return browser

    yield open_page
    assert [url for url in browser.requests if not url.startswith("file:")] == []
    assert len(browser.requests) == 1
    assert browser.complaints == []


def place_of(page, note: int) -> tuple[float, float]:
    """A place in what is drawn of a note, in the window: near its end, where no label stands."""
    end = f"[xOf(song.end[{note}]) - 3, yOf(song.pitch[{note}]) + rowHeight() / 2 - 0.5]"
    x, y = page.value(end)
    left, top = page.value("(({left, top}) => [left, top])(roll.getBoundingClientRect())")
    return left + x, top + y


def colour_at(page, x: float, y: float) -> list[int]:
    """Red, green and blue of a pixel of the window."""
    clip = {"x": int(x), "y": int(y), "width": 1, "height": 1, "scale": 1}
    picture = base64.b64decode(page.call("Page.captureScreenshot", clip=clip)["data"])
    pixel = imread(BytesIO(picture), format="png")[0, 0, :3]
    return np.rint(255 * pixel).astype(int).tolist()


def expected_colour(annotation: Annotation, task: str, note: int) -> np.ndarray:
    """The colour of a note's label, mixed with white by its probability."""
    labels = annotation.note_labels[task]
    code = class_colours(TASKS[task], labels.classes)[labels.label[note]]
    colour = np.array([int(code[at : at + 2], 16) for at in (1, 3, 5)])
    opacity = 0.25 + 0.75 * labels.probability[note]
    return opacity * colour + (1 - opacity) * 255


def lonely_notes(annotation: Annotation, count: int) -> list[int]:
    """Notes of the first 60 beats, of some length, with no other on their pitch meanwhile."""
    notes = annotation.song.notes
    read = annotation.note_labels["melody"].was_read
    found = []
    for note in np.flatnonzero((notes.end < 60 * 480) & (notes.end - notes.start > 300) & read):
        same = (notes.pitch == notes.pitch[note]) & (notes.start < notes.end[note] + 30)
        if (same & (notes.end > notes.start[note] - 30)).sum() == 1:
            found.append(int(note))
    assert len(found) >= count
    return found[:: len(found) // count][:count]


def tooltip(page) -> dict[str, list[str]]:
    """The rows of the tooltip by task, its other lines under ""; nothing where it is hidden."""
    return page.value(
        """tip.hidden ? {} : Object.fromEntries([
          ["", [...tip.querySelectorAll("div")].map((line) => line.textContent)],
          ...[...tip.querySelectorAll("tr")].map((row) =>
            [row.dataset.task, [...row.cells].map((cell) => cell.textContent.trim())])])"""
    )


def view(page) -> tuple[float, float]:
    """The beats at the left and right border of the roll."""
    left, right = page.value("[view.left, tickOf(size.width)]")
    return left / 480, right / 480


@needs_chromium
def test_hovering_tells_of_the_very_note_under_the_mouse(opened, long_song):
    page, annotation = opened(long_song.path), long_song.annotation
    notes = annotation.song.notes
    page.press("-")  # so that all of them are in sight
    for note in lonely_notes(annotation, 4):
        page.mouse("mouseMoved", *place_of(page, note))
        shown = tooltip(page)
        heading, onset, rest = shown.pop("")[:3]
        assert re.fullmatch(rf"[A-G][♯♭]?{notes.pitch[note] // 12 - 1}", heading.split(" · ")[0])
        assert heading.split(" · ")[1] == annotation.song.tracks[notes.track[note]].name
        bar, beat = divmod(notes.start[note] / 480, 4)
        assert onset.startswith(f"bar {bar + 1:.0f}, beat {round(beat + 1, 2):g} · 0:")
        seconds = annotation.song.seconds(notes.start[note])
        assert float(onset.split("0:")[1]) == pytest.approx(seconds, abs=0.006)
        assert rest.endswith(f"velocity {notes.velocity[note]}")
        assert list(shown) == NOTE_TASKS
        for task, row in shown.items():
            labels = annotation.note_labels[task]
            label, percent = labels.label[note], round(100 * float(labels.probability[note]))
            name = readable_name(labels.classes[label])
            assert row == [TASKS[task].title, name, f"{percent} %"]
    page.mouse("mouseMoved", 5, 5)
    assert tooltip(page) == {}


@needs_chromium
def test_a_note_has_the_colour_of_its_label_in_every_task(opened, long_song):
    page, annotation = opened(long_song.path), long_song.annotation
    note = lonely_notes(annotation, 1)[0]
    for number, task in enumerate(NOTE_TASKS, 1):
        page.press(str(number))
        expected = expected_colour(annotation, task, note)
        np.testing.assert_allclose(
            colour_at(page, *place_of(page, note)), expected, atol=3, err_msg=task
        )
        pressed = "document.querySelector('#tasks [aria-pressed=true]').dataset.task"
        assert page.value(pressed) == task


@needs_chromium
def test_the_legend_counts_the_notes_and_singles_out_a_class(opened, long_song):
    page, annotation = opened(long_song.path), long_song.annotation
    centre = """(() => {{ const box = document.querySelector({!r}).getBoundingClientRect();
      return [box.left + box.width / 2, box.top + box.height / 2]; }})()"""
    page.click(*page.value(centre.format("[data-task=texture]")))
    labels = annotation.note_labels["texture"]
    names = [*map(readable_name, labels.classes), "not read"]  # the last is that of -1
    legend = page.value("[...query('#legend').children].map((one) => one.textContent)")
    assert sorted(legend) == sorted(
        f"{names[label]}{count:,}" for label, count in Counter(labels.label.tolist()).items()
    )
    first, other = (
        next(n for n in lonely_notes(annotation, 12) if labels.label[n] % 2 == odd)
        for odd in (0, 1)
    )
    places = [place_of(page, note) for note in (first, other)]
    before = [np.array(colour_at(page, *place)) for place in places]
    label = page.value(f"task.label[{first}]")
    page.click(*page.value(centre.format(f"#legend [data-label='{label}']")))
    page.mouse("mouseMoved", 5, 5)
    after = [np.array(colour_at(page, *place)) for place in places]
    assert (before[0] == after[0]).all()
    assert after[1].min() > 220 > before[1].min()


@needs_chromium
def test_the_mouse_zooms_and_scrolls(opened, long_song):
    page = opened(long_song.path)
    left, right = view(page)
    assert left == 0
    tick = page.value("tickOf(700 - roll.getBoundingClientRect().left)")
    page.mouse("mouseWheel", 700, 500, deltaX=0, deltaY=-300)
    assert page.value("tickOf(700 - roll.getBoundingClientRect().left)") == pytest.approx(tick)
    near = view(page)
    assert near[1] - near[0] == pytest.approx((right - left) * np.exp(-0.6))
    page.drag(800, 500, to_x=560)
    dragged = view(page)
    beat = page.value("view.beat")
    assert dragged[0] - near[0] == pytest.approx(240 / beat)
    page.mouse("mouseWheel", 700, 500, deltaX=0, deltaY=100, modifiers=8)
    scrolled = view(page)
    assert scrolled[0] - dragged[0] == pytest.approx(100 / beat)
    assert scrolled[1] - scrolled[0] == pytest.approx(near[1] - near[0])
    page.click(700, 500, count=2)
    assert view(page) == pytest.approx((0, page.value("allTicks") / 480))
    page.press("+")
    strip = page.value(
        "(({left, top, width}) => [left, top, width])(overview.getBoundingClientRect())"
    )
    page.click(strip[0] + 0.6 * strip[2], strip[1] + 20)
    assert sum(view(page)) / 2 == pytest.approx(0.6 * page.value("allTicks") / 480, rel=0.01)


@needs_chromium
def test_keys_zoom_and_scroll_within_the_song(opened, long_song):
    page = opened(long_song.path)
    first = view(page)
    page.press("ArrowLeft")
    assert view(page) == first
    page.press("ArrowRight")
    assert view(page)[0] > 0
    page.press("End")
    assert view(page)[1] == pytest.approx(page.value("allTicks") / 480)
    page.press("Home")
    assert view(page) == pytest.approx(first)
    page.press("+")
    assert view(page)[1] - view(page)[0] == pytest.approx((first[1] - first[0]) / 1.4)
    for key in "---0":
        page.press(key)
    assert view(page) == pytest.approx((0, page.value("allTicks") / 480))


@needs_chromium
def test_the_strips_name_their_stretches(opened, long_song):
    page, annotation = opened(long_song.path), long_song.annotation
    labels = annotation.note_labels["localkey"]
    for _ in range(5):
        page.press("+")
    span = next(
        s for s in spans(annotation.song, labels) if s.end - s.start > 200 and s.start > 960 * 10
    )
    page.value(f"(view.left = {span.start} - 960, clampView())")
    x = page.value(f"roll.getBoundingClientRect().left + xOf({(span.start + span.end) / 2})")
    y = page.value("roll.getBoundingClientRect().top + rollTop") - 8
    page.mouse("mouseMoved", x, y)
    assert tooltip(page)[""][0] == f"local keys: {readable_name(labels.classes[span.label])}"


@needs_chromium
def test_times_are_not_written_over_each_other(opened, tmp_path):
    song = made_up_song(300)
    song.midi.tempo_changes[1:] = [TempoChange(8, int(0.9 * song.notes.end.max()))]
    write_page(made_up_annotation(song, ["melody"]), tmp_path / "song.html")
    page = opened(tmp_path / "song.html")
    page.press("0")
    page.wait_for_frame()
    labels = page.value(
        """(() => {
          const real = roll.getContext("2d"), labels = [];
          const measureText = (text) => real.measureText(text);
          const fillText = (text, x) => labels.push([x, x + measureText(text).width]);
          drawSeconds({measureText, fillText, fillRect() {}}, 0, allTicks);
          return labels;
        })()"""
    )
    assert len(labels) > 5
    assert all(end < begin for (_, end), (begin, _) in pairwise(labels))


@needs_chromium
def test_the_roll_fills_another_window_and_a_finer_screen(opened, long_song):
    page, annotation = opened(long_song.path), long_song.annotation
    note = lonely_notes(annotation, 1)[0]
    page.resize(900, 1200, scale=2)
    page.wait_for_frame()
    assert page.value("roll.clientWidth") < 900
    assert page.value("roll.width") == 2 * page.value("roll.clientWidth")
    page.press("5")
    x, y = place_of(page, note)
    expected = expected_colour(annotation, NOTE_TASKS[4], note)
    np.testing.assert_allclose(colour_at(page, x, y), expected, atol=3)
    page.mouse("mouseMoved", x, y)
    assert tooltip(page)[NOTE_TASKS[4]]


@needs_chromium
@pytest.mark.parametrize("tasks", [["melody"], [], ["composer"]])
def test_a_single_note_without_a_label_is_drawn_hollow(opened, tmp_path, tasks):
    annotation = made_up_annotation(made_up_song(1), tasks, unread=1)
    write_page(annotation, tmp_path / "song.html")
    page = opened(tmp_path / "song.html")
    x, y = place_of(page, 0)
    page.mouse("mouseMoved", x, y)
    assert tooltip(page)[""][3] == "short"
    assert tooltip(page).get("melody", []) == (
        ["melody", "not read", ""] if "melody" in tasks else []
    )
    page.mouse("mouseMoved", 5, 5)
    if "melody" in tasks:
        assert colour_at(page, x, y) == [255, 255, 255]
        left = page.value("roll.getBoundingClientRect().left + xOf(song.start[0])")
        assert max(colour_at(page, round(left), y)) < 200
    assert page.value("document.querySelectorAll('.piece').length") == len(
        set(tasks) & {"composer"}
    )


@needs_chromium
def test_hostile_names_are_shown_as_they_are(opened, tmp_path):
    song = made_up_song(1, Path(HOSTILE.replace("/", "")), (HOSTILE,))
    write_page(made_up_annotation(song, ["melody"]), tmp_path / "song.html")
    page = opened(tmp_path / "song.html")
    assert page.value("document.images.length") == 0
    assert page.value("window.broken") is None
    assert page.value("document.querySelector('h1').textContent") == song.path.name
    page.mouse("mouseMoved", *place_of(page, 0))
    assert tooltip(page)[""][0].endswith(f" · {HOSTILE}")
