"""The page of an annotation: what it does in a real browser."""

import base64
import re
from collections import Counter
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.image import imread
from miditoolkit import TempoChange

from m2bert.annotation.colours import class_colours
from m2bert.annotation.labels import Annotation, spans
from m2bert.annotation.names import readable_name
from m2bert.annotation.page import write_page
from m2bert.tasks import TASKS
from tests.helpers.annotation_samples import HOSTILE, NOTE_TASKS, made_up_annotation, made_up_song
from tests.helpers.chromium import chromium, needs_chromium


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
