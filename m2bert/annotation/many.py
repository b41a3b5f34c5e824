"""Many songs: each gets a folder of its own; a table and a page list them."""

import html
import json
import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from m2bert.annotation.labels import Annotation
from m2bert.annotation.summary import row
from m2bert.annotation.tables import write_csv
from m2bert.base.errors import UserError
from m2bert.base.files import path_text, write_errors_of, write_text
from m2bert.base.outputs import output_files, sha256
from m2bert.base.tables import csv_text
from m2bert.notes.reader import read_song
from m2bert.notes.song import Song

ROWS, TABLE, INDEX = "summary.jsonl", "summary.csv", "index.html"
"""The rows of the finished songs, as JSON and as CSV, and the page with links."""

COLUMNS = ("file", "notes", "duration", "key", "chords", "tempo", "warnings")
"""The columns of the page."""

PAGE = """<!doctype html>
<meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Annotated songs</title>
<style>
body {{ font: 15px system-ui, sans-serif; margin: 2em auto; max-width: 75em; padding: 0 1em }}
table {{ border-collapse: collapse; width: 100% }}
td, th {{ border-bottom: 1px solid #ccc; padding: .3em .6em; text-align: left }}
</style>
<h1>{count} songs</h1>
<table><tr>{head}</tr>
{body}
</table>
"""


class Outcome(NamedTuple):
    """What was made of several songs: how many were annotated, how many were finished before, how
    many of both have warnings, and the songs that cannot be used, with the reasons."""

    annotated: int
    kept: int
    with_warnings: int
    skipped: list[str]


def song_names(files: Sequence[Path], out: Path) -> dict[str, Path]:
    """The songs by their paths below the folder that contains them all; outputs in `out` are not
    songs."""
    songs = [file.resolve() for file in files if out.resolve() not in file.resolve().parents]
    if not songs:
        raise UserError(f"all files of music are in {out}, the folder of the outputs")
    root = os.path.commonpath([song.parent for song in songs])
    return {path_text(song.relative_to(root)): song for song in songs}


def annotate_many(
    songs: dict[str, Path],
    out: Path,
    annotate: Callable[[list[Song]], list[Annotation]],
    notes_together: int,
    write: Callable[[Annotation, Path], object],
    progress: Callable[[Iterable[str]], Iterable[str]],
) -> Outcome:
    """Annotate each song and write its files to the folder `out`/NAME, NAME with its extension.

    notes_together: songs are collected until they have so many notes, and annotated together.

    A song that has a row in `ROWS` and the same content is kept. Raises `UserError` if no song can
    be used.
    """
    rows, skipped, last = read_rows(out / ROWS), [], next(reversed(songs))
    kept, annotated = set(), set()
    collected: dict[str, Song] = {}
    out.mkdir(parents=True, exist_ok=True)
    try:
        for name in progress(songs):
            try:
                if name in rows and is_unchanged(songs[name], rows[name]):
                    kept.add(name)
                else:
                    collected[name] = read_song(songs[name])
            except UserError as error:
                skipped.append(str(error))
            if name != last and sum(map(len, collected.values())) < notes_together:
                continue
            annotations = annotate(list(collected.values()))
            for done, annotation in zip(collected, annotations, strict=True):
                try:
                    write(annotation, out / done)
                except UserError as error:
                    skipped.append(str(error))
                    continue
                annotated.add(done)
                rows[done] = row(annotation, done) | {"sha256": sha256(songs[done])}
                line = json.dumps(rows[done], ensure_ascii=False)
                with write_errors_of(out / ROWS), (out / ROWS).open("a", encoding="utf-8") as file:
                    file.write(f"\n{line}")  # after a line that a full disk has cut short
            collected.clear()
    finally:  # also if it is stopped, or the disk is full
        if rows:
            write_lists(out, [rows[name] for name in sorted(rows)])
    if not rows:
        raise UserError(f"none of the {len(songs)} files is usable: {skipped[0]}")
    warned = sum(bool(rows[name].get("warnings")) for name in kept | annotated)
    return Outcome(len(annotated), len(kept), warned, skipped)


def is_unchanged(song: Path, found: dict) -> bool:
    """Whether a file has the content of its row; not if it cannot be read any more."""
    with suppress(OSError):
        return sha256(song) == found.get("sha256")
    return False


def read_rows(path: Path) -> dict[str, dict]:
    """The rows of the finished songs by their names; a line that was cut short is skipped."""
    rows = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        try:
            found = json.loads(line)
            rows[found["file"]] = found
        except (ValueError, KeyError, TypeError):
            continue
    return rows


def write_lists(out: Path, rows: list[dict]) -> None:
    """Write `TABLE` and `INDEX`."""
    names = dict.fromkeys(name for found in rows for name in found)
    table = [{name: found.get(name) for name in names} for found in rows]
    with output_files(out, [TABLE, INDEX], overwrite=True) as temporary:
        write_csv(temporary / TABLE, csv_text(table))
        write_text(temporary / INDEX, _page(out, rows))


def _page(out: Path, rows: list[dict]) -> str:
    lines = []
    for found in rows:
        name = found["file"]
        page = f"{name}/{Path(name).stem}.html"
        target = page if (out / page).exists() else f"{name}/"
        cells = [html.escape(str(found.get(column) or "")) for column in COLUMNS]
        cells[0] = f'<a href="{html.escape(quote(target))}">{cells[0]}</a>'
        lines.append(f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>")
    head = "".join(f"<th>{column}</th>" for column in COLUMNS)
    return PAGE.format(count=len(rows), head=head, body="\n".join(lines))
