"""The page of an annotation in a real browser."""

import csv
import re
import shutil
from collections import Counter
from dataclasses import replace
from io import BytesIO, StringIO
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread
from playwright.sync_api import sync_playwright

from m2bert.annotation.colours import class_colours
from m2bert.annotation.labels import Annotation, shown_labels, spans
from m2bert.annotation.names import readable_name, table_name, with_signs
from m2bert.annotation.page import write_page
from m2bert.annotation.tables import write_annotation_csv
from m2bert.base.outputs import sha256
from m2bert.notes.song import Bars
from m2bert.tasks import TASKS
from tests.helpers.annotation_samples import (
    HOSTILE,
    NOTE_TASKS,
    annotate,
    made_up_annotation,
    made_up_song,
)

PROGRAM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="no Chromium or Chrome is installed")

RECORD_SOUNDS = """
  window.sounds = [];
  for (const kind of [OscillatorNode, AudioBufferSourceNode]) {
    const start = kind.prototype.start;
    kind.prototype.start = function (time) {
      sounds.push([kind.name, time, this.frequency?.value ?? 0]);
      start.call(this, time);
    };
  }
"""


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=PROGRAM)


@pytest.fixture(scope="module")
def annotation(tmp_path_factory) -> Annotation:
    """A song of 2,000 notes with all tasks."""
    path = tmp_path_factory.mktemp("song") / "a song.mid"
    path.write_bytes(b"the page has the checksum of this")
    return made_up_annotation(made_up_song(2000, path, names=("right", "left", "sticks")))


@pytest.fixture(scope="module")
def written(annotation) -> Path:
    path = annotation.song.path.with_suffix(".html")
    write_page(annotation, path)
    assert path.stat().st_size < 400 * 2000
    return path


@pytest.fixture
def show(browser, written, tmp_path):
    """Opens the page of an annotation, which must not request or log anything."""
    requests, complaints, paths = [], [], []

    def show(annotation: Annotation | None = None, **settings):
        if annotation:
            paths.append(tmp_path / "song.html")
            annotation.song.path.touch()
            write_page(annotation, paths[-1])
        else:
            paths.append(written)
        page = browser.new_page(**{"viewport": {"width": 1400, "height": 900}} | settings)
        page.on("request", lambda request: requests.append(request.url))
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.add_init_script(RECORD_SOUNDS)
        page.goto(paths[-1].as_uri())
        return page

    yield show
    downloads = [url for url in requests if not url.startswith("blob:")]
    assert downloads == [path.as_uri() for path in paths]
    assert complaints == []


def in_window(page, x: str, y: str) -> tuple[float, float]:
    """A place of the roll, from expressions, as a place of the window."""
    box = page.locator("#roll canvas").bounding_box()
    x, y = page.evaluate(f"[{x}, {y}]")
    return box["x"] + x, box["y"] + y


def place_of(page, note: int) -> tuple[float, float]:
    """A place in a note: near its end, to the right of its label."""
    return in_window(
        page, f"xOf(song.end[{note}]) - 3", f"yOf(song.pitch[{note}]) + rowHeight() / 2 - 0.5"
    )


def colour_at(page, x: float, y: float) -> np.ndarray:
    """Red, green and blue of a pixel of the window after the next frame."""
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
    """Long notes of the first 60 beats without others on their pitch."""
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
    """The rows of the tooltip by task, its other lines under ""; empty if it is hidden."""
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


def test_page_shows_the_labels_of_notes_and_spans(show, annotation):
    page, notes = show(), annotation.song.notes
    page.keyboard.press("-")  # the notes are in the first 60 beats
    lonely = lonely_notes(annotation, 4)
    for note in lonely:
        page.mouse.move(*place_of(page, note))
        shown = tooltip(page)
        heading, onset, rest = shown.pop("")[:3]
        pitch, track = heading.split(" · ")
        assert re.fullmatch(rf"[A-G][♯♭]?{notes.pitch[note] // 12 - 1}", pitch)
        assert track == annotation.song.tracks[notes.track[note]].name
        (bar,) = annotation.bars.numbers_at(notes.start[[note]])
        (beat,) = annotation.beats.places(notes.start[[note]])
        assert onset.startswith(f"bar {bar}, beat {round(beat, 2):g} · 0:")
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
    for number, task in enumerate(NOTE_TASKS, 1):
        page.keyboard.press(str(number))
        assert page.get_attribute("#tasks [aria-pressed=true]", "data-task") == task
        expected = expected_colour(annotation, task, lonely[0])
        np.testing.assert_allclose(colour_at(page, *place_of(page, lonely[0])), expected, atol=3)
    page.evaluate("zoomBy(5)")
    span = next(
        s for s in spans(annotation, "localkey") if min(s.end - s.start, s.start / 48) > 200
    )
    page.evaluate(f"(view.left = {span.start} - 960, clampView())")
    page.mouse.move(*in_window(page, f"xOf({(span.start + span.end) / 2})", "STRIPS_TOP + 8"))
    assert tooltip(page)[""][0] == f"key: {with_signs(span.name)}"


def test_legend_counts_the_notes_and_singles_out_and_mutes(show, annotation):
    page, labels = show(), annotation.note_labels["texture"]
    page.click("[data-task=texture]")
    names = [*map(readable_name, labels.classes), "not read"]  # the last is that of -1
    counts = Counter(labels.label.tolist())
    legend = page.locator("#legend button:first-child").all_text_contents()
    assert sorted(legend) == sorted(f"{names[k]}{count:,}" for k, count in counts.items())
    chosen, other = lonely_notes(annotation, 12)[:2]
    track = int(annotation.song.notes.track[chosen])
    for button in (
        f"#legend [data-member='{labels.label[chosen]}'] button:first-child",
        f"#tracks [data-member='{track}'] button:last-child",
    ):
        page.click(button)
        assert page.get_attribute(button, "aria-pressed") == "true"
        if "legend" in button:
            heard = labels.label == labels.label[chosen]
        else:
            heard = heard & (annotation.song.notes.track != track)
        assert page.evaluate("[...isHeard]") == heard.astype(int).tolist()
    assert colour_at(page, *place_of(page, other)).min() > 220
    page.click("[data-task=melody]")  # a class is singled out in its task
    heard = annotation.song.notes.track != track
    assert page.evaluate("[...isHeard]") == heard.astype(int).tolist()


def test_mouse_and_keys_zoom_and_scroll(show):
    page = show()
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
    page.keyboard.press("0")
    assert view(page) == pytest.approx((0, whole))
    page.keyboard.press("+")
    strip = page.locator("#overview canvas").bounding_box()
    page.mouse.click(strip["x"] + 0.6 * strip["width"], strip["y"] + 20)
    assert sum(view(page)) / 2 == pytest.approx(0.6 * whole, rel=0.01)

    page.mouse.move(*in_window(page, "20", "rollTop + 100"))  # the piano keys
    pitch, fit = page.evaluate("[pitchOf(rollTop + 100), rowHeight()]")
    page.mouse.wheel(0, -400)
    zoomed = page.evaluate("[pitchOf(rollTop + 100), rowHeight()]")
    assert zoomed == pytest.approx([pitch, fit * np.exp(0.8)], rel=1e-3)
    page.keyboard.press("ArrowUp")
    assert page.evaluate("pitchOf(rollTop + 100)") > pitch
    for _ in range(4):
        page.keyboard.press("Shift+ArrowDown")
    assert page.evaluate("[view.top, rowHeight()]") == pytest.approx(
        [page.evaluate("highest"), fit]
    )

    page.keyboard.press("Home")
    first = view(page)
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


def wait_until(page, condition: str) -> None:
    """As `page.wait_for_function`, which the page's content security policy forbids."""
    page.evaluate(
        f"""new Promise((done) => {{
          const look = () => ({condition}) ? done() : setTimeout(look, 20);
          look();
        }})"""
    )


def sounds_after(page, action) -> list[tuple[str, float, float]]:
    """Kind, time after the beginning of playback, and frequency of the sounds that an action
    starts."""
    page.evaluate("sounds.length = 0")
    action()
    wait_until(page, "sounds.length")
    sounds, begin = page.evaluate("[sounds, player.time]")
    return [(kind, time - begin, frequency) for kind, time, frequency in sounds]


def test_playback_schedules_the_notes_that_are_heard(show, annotation):
    page, song, notes = show(), annotation.song, annotation.song.notes
    order = np.lexsort((np.arange(len(song)), notes.start))
    begins, is_drum = song.seconds(notes.start), song.is_drum

    def expected(wanted: np.ndarray, count: int, speed: float = 1) -> list:
        chosen = order[wanted[order]][:count]
        kinds = np.where(is_drum[chosen], "AudioBufferSourceNode", "OscillatorNode")
        frequencies = np.where(is_drum[chosen], 0, 440 * 2 ** ((notes.pitch[chosen] - 69) / 12))
        times = begins[chosen] / speed
        return [
            (kind, pytest.approx(time, abs=1e-4), pytest.approx(frequency, rel=1e-4))
            for kind, time, frequency in zip(kinds, times, frequencies, strict=True)
        ]

    heard = np.full(len(song), True)
    sounds = sounds_after(page, lambda: page.click("#play"))
    assert sounds == expected(heard, len(sounds))
    assert {kind for kind, _, _ in sounds} == {"AudioBufferSourceNode", "OscillatorNode"}
    wait_until(page, "playedSecond() > 0.2 && cursorX > GUTTER + 1")
    page.keyboard.press(" ")
    assert page.inner_text("#play") == "play"
    paused = page.evaluate("playedSecond()")
    assert page.evaluate("[playedSecond(), player.voices.size]") == [paused, 0]
    page.keyboard.press("s")
    assert page.evaluate("[playedSecond(), cursorX]") == [0, page.evaluate("GUTTER")]

    page.click("#tracks [data-member='2'] button:last-child")  # mute the drums
    for _ in range(6):
        page.keyboard.press("<")
    assert page.inner_text("#speed + output") == "50 %"
    sounds = sounds_after(page, lambda: page.keyboard.press(" "))
    assert sounds == expected(~is_drum, len(sounds), 0.5)
    page.keyboard.press("s")
    page.click("#legend [data-member='1'] button:first-child")  # only the melody
    melody = annotation.note_labels["melody"].label == 1
    sounds = sounds_after(page, lambda: page.keyboard.press(" "))
    assert sounds == expected(melody & ~is_drum, len(sounds), 0.5)

    page.evaluate("centreOn(lastTick)")
    page.mouse.click(*in_window(page, "xOf(lastTick) - 5", "10"))  # jump to the end
    assert page.evaluate("lastSecond - playedSecond()") < 0.5
    wait_until(page, "!player.isPlaying")
    assert page.evaluate("playedSecond()") == 0


def test_corrections_are_marked_undone_and_saved(show, annotation, tmp_path):
    page, notes = show(), annotation.song.notes
    write_annotation_csv(annotation, tmp_path / "song.csv")
    original = (tmp_path / "song.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(StringIO(original.removeprefix("\ufeff"))))
    expected = {int(row["index"]): row for row in rows}

    def correct(task: str, chosen: list[int], label: int) -> None:
        page.select_option("#label", str(label))
        name = TASKS[task].classes[label]
        for note in chosen:
            changes = {"": name, "_span": name, "_probability": "", "_shown": readable_name(name)}
            for ending, cell in changes.items():
                if f"{task}{ending}" in expected[note]:
                    expected[note][f"{task}{ending}"] = table_name(cell)

    page.keyboard.press("-")
    note, other = lonely_notes(annotation, 2)
    assert page.locator("#save:disabled, #label:disabled").count() == 2
    melody = annotation.note_labels["melody"].label
    before = readable_name(TASKS["melody"].classes[melody[note]])
    page.mouse.click(*place_of(page, note))
    assert page.input_value("#label") == str(melody[note])
    page.select_option("#label", str(melody[note] % 3 + 1))
    page.mouse.move(*place_of(page, note))
    assert tooltip(page)["melody"][2] == f"was {before}"
    page.keyboard.press("Control+z")
    page.mouse.move(*place_of(page, note))
    assert tooltip(page)["melody"][1] == before

    correct("melody", [note], melody[note] % 3 + 1)
    code = class_colours(TASKS["melody"], TASKS["melody"].classes)[melody[note] % 3 + 1]
    page.mouse.click(5, 5)
    page.keyboard.press("Escape")
    assert (colour_at(page, *place_of(page, note)) == list(bytes.fromhex(code[1:]))).all()

    page.keyboard.down("Shift")  # a box around another note
    page.mouse.move(*in_window(page, f"xOf(song.start[{other}]) - 2", f"yOf(song.pitch[{other}])"))
    page.mouse.down()
    page.mouse.move(*in_window(page, f"xOf(song.end[{other}])", f"yOf(song.pitch[{other}]) + 2"))
    page.mouse.up()
    page.keyboard.up("Shift")
    assert other in page.evaluate("selection.notes")
    page.mouse.click(*place_of(page, other))
    correct("melody", [other], 2)

    place, span = next(
        (k, s) for k, s in enumerate(spans(annotation, "localkey")) if s.end - s.start > 200
    )
    page.evaluate(f"(zoomBy(5), centreOn({span.start}))")
    page.mouse.click(*in_window(page, f"xOf({(span.start + span.end) / 2})", "STRIPS_TOP + 8"))
    assert page.get_attribute("#tasks [aria-pressed=true]", "data-task") == "localkey"
    read = annotation.note_labels["localkey"].was_read
    inside = np.flatnonzero((notes.start >= span.start) & (notes.start < span.end) & read)
    label = TASKS["localkey"].classes.index("B- major")
    correct("localkey", inside.tolist(), label)
    assert page.evaluate(f"spanLabel(task, {place})") == label

    page.click("[data-task=chordroot]")
    page.keyboard.press("n")
    *_, decoded, symbol = spans(annotation, "chordroot")[page.evaluate("selection.span")]
    chord = sorted(page.evaluate("correctable()"))
    name = "spanName(task, selection.span)"
    for root in (decoded, TASKS["chordroot"].classes.index("A" if symbol[0] != "A" else "B")):
        correct("chordroot", chord, root)
        other_root = f"{TASKS['chordroot'].classes[root]}…"
        assert page.evaluate(name) == (with_signs(symbol) if root == decoded else other_root)
    for note in page.evaluate("selection.notes"):
        expected[note]["chord"] = ""

    assert page.inner_text("#save") == f"save {2 + len(inside) + len(chord)} corrections"
    with page.expect_download() as download:
        page.click("#save")
    assert download.value.suggested_filename == "a song.corrected.csv"
    saved = download.value.path().read_text(encoding="utf-8")
    checksum = sha256(annotation.song.path)
    rows = csv.DictReader(StringIO(saved.removeprefix("\ufeff")))
    assert list(rows) == [row | {"sha256": checksum} for row in expected.values()]
    same = {f"{line},{checksum}" for line in original.splitlines()}
    changed = {note, other, *inside, *page.evaluate("selection.notes")}
    assert len(set(saved.splitlines()) - same) == 1 + len(changed)
    assert saved.startswith("\ufeffindex,")


def test_keys_step_through_notes_and_spans(show, annotation):
    page, notes = show(), annotation.song.notes
    order = np.lexsort((np.arange(len(notes.start)), notes.start))
    for key, place in [("n", 0), ("n", 1), ("N", 0)]:
        page.keyboard.press(key)
        assert page.evaluate("selection.notes") == [order[place]]
        assert tooltip(page)
    page.click("[data-task=chordroot]")
    page.keyboard.press("n")
    page.keyboard.press("n")
    span = spans(annotation, "chordroot")[1]
    chosen = np.flatnonzero((notes.start >= span.start) & (notes.start < span.end))
    assert sorted(page.evaluate("selection.notes")) == chosen.tolist()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "label"


def test_scrolling_copies_many_notes_to_their_places(show, tmp_path):
    page = show(made_up_annotation(made_up_song(6000, tmp_path / "a.mid"), ["melody"]))
    page.evaluate("(fitAll(), zoomBy(1.3, GUTTER), drawRoll())")
    difference, is_copied = page.evaluate(
        """() => {
          scrollView(50);
          drawRoll();
          const places = { x: xOf(0), y: yOf(0), tickWidth: pixelsOfTick(), row: rowHeight() };
          const pixels = (draw) => {
            const canvas = new OffscreenCanvas(size.width, size.height);
            const context = canvas.getContext("2d", { willReadFrequently: true });
            context.fillStyle = "white";
            context.fillRect(0, 0, size.width, size.height);
            draw(context);
            return context.getImageData(GUTTER, rollTop, 1000, 300).data;
          };
          const drawn = pixels((context) => drawNotes(context, 0, allTicks, places));
          const copied = pixels((context) => copyNotes(context, places));
          const differences = copied.map((value, place) => Math.abs(value - drawn[place]));
          return [differences.reduce((a, b) => Math.max(a, b)), sheetState === lastState];
        }"""
    )
    assert is_copied
    assert difference <= 3


def test_ruler_has_measure_numbers_and_times_that_do_not_overlap(show, tmp_path):
    song = made_up_song(300, tmp_path / "waltz.xml")
    song = replace(
        song,
        tempos=(song.tempos[0], (int(0.9 * song.notes.end.max()), 8.0)),
        measures=Bars(np.array([0, 1920, 3360]), ("0", "1", "2")),
    )
    page = show(made_up_annotation(song, ["melody"]))
    assert page.inner_text("#facts").endswith("3 measures")
    places = page.evaluate("[1440, 1920, 2400, 3360].map(placeName)")
    expected = [(0, 4), (1, 1), (1, 2), (2, 1)]
    assert places == [f"measure {measure}, beat {beat}" for measure, beat in expected]
    page.keyboard.press("0")
    numbers, times = page.evaluate(
        """["drawBars", "drawSeconds"].map((name) => {
          const written = [], measureText = (text) => roll.getContext("2d").measureText(text);
          const fillText = (text, x) => written.push([text, x, x + measureText(text).width]);
          ({ drawBars, drawSeconds })[name]({measureText, fillText, fillRect() {}}, 0, allTicks);
          return written;
        })"""
    )
    assert [text for text, *_ in numbers] == ["0", "1", "2"]
    assert len(times) > 5
    assert all(end < begin for (*_, end), (_, begin, _) in pairwise(times))


def test_page_fits_a_phone_and_is_used_by_touch(show, annotation):
    phone = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2}
    page, note = show(**phone, has_touch=True, is_mobile=True), lonely_notes(annotation, 1)[0]
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    assert page.evaluate("roll.width") == 2 * page.evaluate("roll.clientWidth")
    page.evaluate(f"centreOn(song.end[{note}])")
    page.tap("[data-task=texture]")
    x, y = place_of(page, note)
    expected = expected_colour(annotation, "texture", note)
    np.testing.assert_allclose(colour_at(page, x, y), expected, atol=3)
    page.touchscreen.tap(x, y)
    assert page.evaluate("selection.notes") == [note]
    assert tooltip(page)["texture"]


@pytest.mark.parametrize("tasks", [["melody", "composer"], []])
def test_a_single_note_without_a_label_is_drawn_hollow(show, tmp_path, tasks):
    page = show(made_up_annotation(made_up_song(1, tmp_path / "a.mid"), tasks, unread=1))
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


def test_hostile_names_and_full_percentages_fit_the_page(show, tmp_path):
    song = made_up_song(1, tmp_path / HOSTILE.replace("/", ""), (HOSTILE,))
    pieces = {"emotion": [[1, 0, 0, 0]], "composer": np.eye(8)[:1]}
    page = show(annotate(song, {"melody": [1]}, pieces), viewport={"width": 390, "height": 844})
    assert page.evaluate("[document.images.length, window.broken]") == [0, None]
    assert page.text_content("h1") == song.path.name
    for summary in page.locator(".piece summary").all():
        summary.click()
    percentages = page.locator(".percent")
    assert "100 %" in percentages.all_text_contents()
    assert percentages.evaluate_all("all => all.every(one => one.scrollWidth <= one.clientWidth)")
    page.mouse.move(*place_of(page, 0))
    assert tooltip(page)[""][0].endswith(f" · {HOSTILE}")
