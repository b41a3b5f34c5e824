"""The files of an annotation."""

from collections.abc import Callable, Iterable
from functools import partial

from m2bert.annotation.lab import write_beats_lab, write_chords_lab, write_keys_lab
from m2bert.annotation.labels import CHORD_TASK, KEY_TASK
from m2bert.annotation.midi import write_marked_midi, write_voices_midi
from m2bert.annotation.models import VOICE_TASK
from m2bert.annotation.page import write_page
from m2bert.annotation.picture import draw_annotation
from m2bert.annotation.tables import write_annotation_csv, write_annotation_json, write_chords_csv
from m2bert.notes.song import Song

WRITERS: dict[str, Callable[..., object]] = {
    ".csv": write_annotation_csv,
    ".json": write_annotation_json,
    ".chords.csv": write_chords_csv,
    ".beats.lab": write_beats_lab,
    ".chords.lab": write_chords_lab,
    ".keys.lab": write_keys_lab,
    ".annotated.mid": write_marked_midi,
    ".parts.mid": write_voices_midi,
    ".png": draw_annotation,
    ".html": write_page,
}
"""Functions of an annotation and a path that write its files, by the endings of their names."""

NEEDED_TASKS = {
    ".chords.csv": CHORD_TASK,
    ".chords.lab": CHORD_TASK,
    ".keys.lab": KEY_TASK,
    ".parts.mid": VOICE_TASK,
}
"""The task without which a file is not written."""


def writers_of(
    song: Song,
    tasks: Iterable[str],
    formats: Iterable[str] | None = None,
    mark_beats: bool = False,
    bars: tuple[str, str] | None = None,
) -> dict[str, Callable[..., object]]:
    """The functions that write the files of a song with labels of these tasks, by the files' names.

    formats: endings without the dot (all); mark_beats, bars: as `beats` of `write_marked_midi` and
    `bars` of `draw_annotation`.
    """
    settings = {
        ".annotated.mid": partial(write_marked_midi, beats=mark_beats),
        ".png": partial(draw_annotation, bars=bars),
    }
    needed = {None, *tasks}
    return {
        f"{song.path.stem}{ending}": settings.get(ending, write)
        for ending, write in WRITERS.items()
        if (formats is None or ending[1:] in formats) and NEEDED_TASKS.get(ending) in needed
    }
