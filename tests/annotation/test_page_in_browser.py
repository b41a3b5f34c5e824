"""The page of an annotation in a real browser."""

import re
import shutil
from collections import Counter
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread
from playwright.sync_api import sync_playwright

from m2bert.annotation.colours import class_colours
from m2bert.annotation.labels import Annotation, shown_labels, spans
from m2bert.annotation.names import readable_name
from m2bert.annotation.page import write_page
from m2bert.notes.reader import read_song
from m2bert.tasks import TASKS
from tests.helpers.annotation_samples import (
    HOSTILE,
    NOTE_TASKS,
    annotate,
    made_up_annotation,
    made_up_song,
)
from tests.helpers.scores import WALTZ

PROGRAM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="no Chromium or Chrome is installed")


@pytest.fixture(scope="module")
def show(tmp_path_factory):
    """Opens the page of an annotation, which must request nothing and log nothing."""
    path, requests, log = tmp_path_factory.mktemp("page") / "song.html", [], []

    def show(annotation: Annotation, **options):
        write_page(annotation, path)
        page = browser.new_page(**{"viewport": {"width": 1400, "height": 900}, **options})
        page.on("request", lambda request: requests.append(request.url))
        page.on("console", lambda message: log.append(message.text))
        page.on("pageerror", lambda error: log.append(str(error)))
        page.goto(path.as_uri())
        return page

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=PROGRAM)
        yield show
    assert set(requests) == {path.as_uri()}
    assert log == []


@pytest.fixture(scope="module")
def annotation() -> Annotation:
    """A song of 5,000 notes with all tasks."""
    return made_up_annotation(made_up_song(5000, names=("right", "left", "sticks")))


@pytest.fixture(scope="module")
def opened(show, annotation):
    return show(annotation)


@pytest.fixture
def page(opened):
    """The page of `annotation`, as after loading."""
    opened.mouse.move(5, 5)
    opened.evaluate(
        "(chooseTask(tasks.find(({ name }) => name === 'melody')), "
        "Object.assign(view, { left: 0, beat: 20 }), clampView())"
    )
    return opened


def in_window(page, x: str, y: str) -> tuple[float, float]:
    """A place of the roll, from expressions, as a place of the window."""
    box = page.locator("#roll canvas").bounding_box()
    x, y = page.evaluate(f"[{x}, {y}]")
    return box["x"] + x, box["y"] + y


def place_of(page, note: int) -> tuple[float, float]:
    """A place in the drawing of a note: near its end, where no label is."""
    return in_window(
        page, f"xOf(song.end[{note}]) - 3", f"yOf(song.pitch[{note}]) + rowHeight() / 2 - 0.5"
    )


def colour_at(page, x: float, y: float) -> np.ndarray:
    """Red, green and blue of a pixel of the window, once all has been drawn."""
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    clip = {"x": int(x), "y": int(y), "width": 1, "height": 1}
    pixel = imread(BytesIO(page.screenshot(clip=clip)), format="png")[0, 0, :3]
    return np.rint(255 * pixel).astype(int)


def expected_colour(annotation: Annotation, task: str, note: int) -> np.ndarray:
    """The colour of a note's label, mixed with white by its probability."""
    labels = annotation.note_labels[task]
    label, probability = (of_notes[note] for of_notes in shown_labels(annotation, task))
    code = class_colours(TASKS[task], labels.classes)[label]
    opacity = 0.25 + 0.75 * probability
    return opacity * np.array(list(bytes.fromhex(code[1:]))) + (1 - opacity) * 255


def lonely_notes(annotation: Annotation, count: int) -> list[int]:
    """Long notes in the first 60 beats without another one of their pitch meanwhile."""
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
    return page.evaluate(
        """tip.hidden ? {} : Object.fromEntries([
          ["", [...tip.querySelectorAll("div")].map((line) => line.textContent)],
          ...[...tip.querySelectorAll("tr")].map((row) =>
            [row.dataset.task, [...row.cells].map((cell) => cell.textContent.trim())])])"""
    )


def view(page) -> tuple[float, float]:
    """The beats at the left and right border of the roll."""
    left, right = page.evaluate("[view.left, tickOf(size.width)]")
    return left / 480, right / 480


def test_hovering_describes_the_note_under_the_mouse(page, annotation):
    notes = annotation.song.notes
    page.keyboard.press("-")  # so that all of them are in sight
    for note in lonely_notes(annotation, 4):
        page.mouse.move(*place_of(page, note))
        shown = tooltip(page)
        heading, onset, rest = shown.pop("")[:3]
        pitch, track = heading.split(" · ")
        assert re.fullmatch(rf"[A-G][♯♭]?{notes.pitch[note] // 12 - 1}", pitch)
        assert track == annotation.song.tracks[notes.track[note]].name
        bar, beat = divmod(notes.start[note] / 480, 4)
        assert onset.startswith(f"bar {bar + 1:.0f}, beat {round(beat + 1, 2):g} · 0:")
        seconds = annotation.song.seconds(notes.start[note])
        assert float(onset.split("0:")[1]) == pytest.approx(seconds, abs=0.006)
        assert rest.endswith(f"velocity {notes.velocity[note]}")
        assert list(shown) == NOTE_TASKS
        for task, row in shown.items():
            label, probability = (of_notes[note] for of_notes in shown_labels(annotation, task))
            name = readable_name(annotation.note_labels[task].classes[label])
            assert row == [TASKS[task].title, name, f"{100 * probability:.0f} %"]
    page.mouse.move(5, 5)
    assert tooltip(page) == {}


def test_the_legend_counts_the_notes_and_singles_out_a_class(page, annotation):
    labels = annotation.note_labels["texture"]
    page.click("[data-task=texture]")
    names = [*map(readable_name, labels.classes), "not read"]  # the last is that of -1
    counts = Counter(labels.label.tolist())
    legend = page.locator("#legend > *").all_text_contents()
    assert sorted(legend) == sorted(f"{names[k]}{count:,}" for k, count in counts.items())
    note, other = (
        next(n for n in lonely_notes(annotation, 12) if labels.label[n] % 2 == odd)
        for odd in (0, 1)
    )
    page.click(f"#legend [data-label='{page.evaluate(f'task.label[{note}]')}']")
    expected = expected_colour(annotation, "texture", note)
    np.testing.assert_allclose(colour_at(page, *place_of(page, note)), expected, atol=3)
    assert colour_at(page, *place_of(page, other)).min() > 220


def test_the_mouse_zooms_and_scrolls(page):
    (left, right), whole = view(page), page.evaluate("allTicks") / 480
    assert left == 0
    under_mouse = "tickOf(700 - roll.getBoundingClientRect().left)"
    tick = page.evaluate(under_mouse)
    page.mouse.move(700, 500)
    page.mouse.wheel(0, -300)
    assert page.evaluate(under_mouse) == pytest.approx(tick)
    near = view(page)
    assert near[1] - near[0] == pytest.approx((right - left) * np.exp(-0.6))
    page.mouse.down()
    page.mouse.move(460, 500)
    page.mouse.up()
    dragged, beat = view(page), page.evaluate("view.beat")
    assert dragged == pytest.approx([one + 240 / beat for one in near])
    page.keyboard.down("Shift")
    page.mouse.wheel(0, 100)
    page.keyboard.up("Shift")
    assert view(page) == pytest.approx([one + 100 / beat for one in dragged])
    page.mouse.dblclick(700, 500)
    assert view(page) == pytest.approx((0, whole))
    page.keyboard.press("+")
    strip = page.locator("#overview canvas").bounding_box()
    page.mouse.click(strip["x"] + 0.6 * strip["width"], strip["y"] + 20)
    assert sum(view(page)) / 2 == pytest.approx(0.6 * whole, rel=0.01)


def test_keys_zoom_and_scroll_within_the_song(page):
    first, whole = view(page), page.evaluate("allTicks") / 480
    tenth = (first[1] - first[0]) * page.evaluate("0.1 * size.width / (size.width - GUTTER)")
    for keys, expected in [
        (["ArrowLeft"], first),
        (["ArrowRight"], [beat + tenth for beat in first]),
        (["End"], [whole - first[1], whole]),
        (["Home"], first),
        ("+-", first),
        ("---0", [0, whole]),
    ]:
        for key in keys:
            page.keyboard.press(key)
        assert view(page) == pytest.approx(expected), keys


def test_the_strips_name_their_spans(page, annotation):
    labels = annotation.note_labels["localkey"]
    for _ in range(5):
        page.keyboard.press("+")
    span = next(
        s for s in spans(annotation, "localkey") if min(s.end - s.start, s.start / 48) > 200
    )
    page.evaluate(f"(view.left = {span.start} - 960, clampView())")
    page.mouse.move(*in_window(page, f"xOf({(span.start + span.end) / 2})", "rollTop - 8"))
    assert tooltip(page)[""][0] == f"local keys: {readable_name(labels.classes[span.label])}"


def test_bars_of_a_score_have_their_measure_numbers(show, tmp_path):
    (tmp_path / "waltz.xml").write_bytes(WALTZ)
    page = show(made_up_annotation(read_song(tmp_path / "waltz.xml"), ["melody"]))
    assert page.inner_text("#facts").endswith("3 measures")
    places = page.evaluate("[1440, 1920, 2400, 3360].map(placeName)")
    expected = [(0, 1), (1, 1), (1, 2), (2, 1)]
    assert places == [f"measure {measure}, beat {beat}" for measure, beat in expected]
    written = page.evaluate(
        """() => {
          const written = [], context = {fillText: (text) => written.push(text), fillRect() {}};
          drawBars(context, 0, allTicks);
          return written;
        }"""
    )
    assert [text for text in written if "." not in text] == ["0", "1", "2"]


def test_notes_have_the_colours_of_their_labels_in_another_window_and_a_finer_screen(
    show, annotation
):
    page, (note,) = show(annotation, device_scale_factor=2), lonely_notes(annotation, 1)
    page.set_viewport_size({"width": 900, "height": 1200})
    assert page.evaluate("roll.clientWidth") < 900
    assert page.evaluate("roll.width") == 2 * page.evaluate("roll.clientWidth")
    for number, task in enumerate(NOTE_TASKS, 1):
        page.keyboard.press(str(number))
        assert page.get_attribute("#tasks [aria-pressed=true]", "data-task") == task
        expected = expected_colour(annotation, task, note)
        np.testing.assert_allclose(colour_at(page, *place_of(page, note)), expected, atol=3)


@pytest.mark.parametrize("tasks", [["melody", "composer"], []])
def test_a_single_note_without_a_label_is_drawn_hollow(show, tasks):
    page = show(made_up_annotation(made_up_song(1), tasks, unread=1))
    x, y = place_of(page, 0)
    page.mouse.move(x, y)
    shown = tooltip(page)
    assert shown.pop("")[3] == "short"
    assert shown == ({"melody": ["melody", "not read", ""]} if tasks else {})
    page.mouse.move(5, 5)
    if tasks:
        assert (colour_at(page, x, y) == 255).all()
        left, _ = in_window(page, "xOf(song.start[0])", "0")
        assert colour_at(page, round(left), y).max() < 200
    assert page.locator(".piece").count() == tasks.count("composer")


def test_hostile_names_on_a_phone(show):
    """Names are shown as they are; nothing sticks out; the help does not mention a mouse."""
    song = made_up_song(1, Path(HOSTILE.replace("/", "")), (HOSTILE,))
    phone = {"viewport": {"width": 390, "height": 800}, "has_touch": True, "is_mobile": True}
    emotion = {"emotion": [[1, 0, 0, 0]], "composer": np.eye(8)[:1]}
    page = show(annotate(song, {"melody": [1]}, emotion), **phone)
    assert page.evaluate("[document.images.length, window.broken]") == [0, None]
    assert page.text_content("h1") == song.path.name
    for summary in page.locator(".piece summary").all():
        summary.click()
    percentages = page.locator(".percent")
    assert "100 %" in percentages.all_text_contents()
    assert percentages.evaluate_all("all => all.every(one => one.scrollWidth <= one.clientWidth)")
    words = page.inner_text("#help")
    assert "two fingers" in words
    assert "wheel" not in words
    page.mouse.move(*place_of(page, 0))
    assert tooltip(page)[""][0].endswith(f" · {HOSTILE}")
