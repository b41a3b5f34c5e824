"""Songs and their tables of labels, found by names and checksums."""

import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from m2bert.base.errors import UserError
from m2bert.base.outputs import sha256
from m2bert.learning.names import normalised
from m2bert.learning.tables import LabelTable, read_label_table
from m2bert.notes.file_search import SUFFIX_LIST, SUFFIXES, files_in
from m2bert.notes.skipped import Entry

TABLE_SUFFIXES = (".csv", ".tsv")

NO_TABLE = "no table of labels"
"""Why a song is skipped."""

_VERSION = re.compile(r"(.*?)(\.corrected)?(?: \((\d+)\))?", re.DOTALL)
"""The stem of a table: that of the song, the page's addition, the browser's number."""

Name = tuple[Path, str]
"""A folder and a stem, in lower case."""

TableOrError = LabelTable | UserError
"""A table, or why the file is not one."""


def songs_with_tables(
    paths: Sequence[Path], label: str
) -> tuple[list[tuple[Path, LabelTable]], list[Entry]]:
    """The songs in files and folders with their tables, and the songs without one.

    The tables of `song.mid` are beside it: `song.corrected.csv` is preferred to `song.csv`, and the
    browser's `song.corrected (2).csv` to those with lower numbers. A table with a checksum belongs
    to the song that has it, in any folder and by any name. Other CSV files are ignored.

    label: as in `read_label_table`. Raises `UserError` if a table has no song or several, if a song
    has several tables, if its table cannot be read, or if no song has a table.
    """
    songs = files_in(paths, SUFFIXES)
    if not songs:
        raise UserError(f"no MIDI files or scores in {paths[0]} (looked for every {SUFFIX_LIST})")
    files = tqdm(files_in(paths, TABLE_SUFFIXES), "tables", unit=" files", disable=None)
    tables = {file: _read(file, label) for file in files}
    files_of = _tables_of_songs(songs, tables)
    if not files_of:
        errors = [table for table in tables.values() if isinstance(table, UserError)]
        raise next(
            iter(errors),
            UserError(
                f"no tables of labels in {paths[0]}: song.mid needs a table song.csv with a column "
                f"{label}"
            ),
        )
    pairs = []
    for song in sorted(files_of):
        table = tables[_latest(song, files_of[song], tables)]
        if isinstance(table, UserError):
            raise table
        pairs.append((song, table))
    rest = [str(song) for song in songs if song not in files_of]
    return pairs, [{"file": song, "reason": NO_TABLE, "detail": "no CSV file"} for song in rest]


def _tables_of_songs(songs: list[Path], tables: dict[Path, TableOrError]) -> dict[Path, list[Path]]:
    """The files of the tables of each song that has any."""
    by_name: dict[Name, list[Path]] = defaultdict(list)
    by_checksum: dict[str | None, list[Path]] = defaultdict(list)
    needs_checksums = any(_checksum(table) for table in tables.values())
    for song in songs:
        by_name[_name(song)].append(song)
        if needs_checksums and song.is_file():
            by_checksum[sha256(song)].append(song)
    files_of: dict[Path, list[Path]] = defaultdict(list)
    for file, table in tables.items():
        beside = by_name.get(_name(file)) or by_name.get(_song_name(file)) or []
        same = by_checksum.get(_checksum(table), [])
        found = [song for song in same if song in beside] or same[:1] or beside
        if len(found) > 1 and not same:
            raise UserError(f"{file} is beside two songs, {found[0]} and {found[1]}: move one")
        if found:
            files_of[found[0]].append(file)
        elif isinstance(table, LabelTable):
            advice = "give its song's folder, too" if table.sha256 else "put its song beside it"
            raise UserError(f"{file} has no song: {advice}")
    return files_of


def _read(file: Path, label: str) -> TableOrError:
    try:
        return read_label_table(file, label)
    except UserError as error:
        return error


def _checksum(table: TableOrError) -> str | None:
    return table.sha256 if isinstance(table, LabelTable) else None


def _name(file: Path) -> Name:
    return file.parent, normalised(file.stem).casefold()


def _song_name(table: Path) -> Name:
    """The name of the song whose table the page or a browser named."""
    return table.parent, _version(table)[0]


def _version(table: Path) -> tuple[str, bool, int]:
    """The song's name, whether the table is one of corrections, the number of the download."""
    name, corrected, number = _VERSION.fullmatch(_name(table)[1]).groups()  # type: ignore[union-attr]
    return name, corrected is not None, int(number or 0)


def _latest(song: Path, files: list[Path], tables: dict[Path, TableOrError]) -> Path:
    """The table of a song to use; prints its name if there are several of different numbers."""
    corrected = [file for file in files if _checksum(tables[file]) or _version(file)[1]]
    number = {f: -1 if _name(f) == _name(song) else _version(f)[2] for f in corrected or files}
    *others, latest = sorted(number, key=lambda file: number[file])
    for other in others:
        if number[other] == number[latest] or _song_name(other) != _song_name(latest):
            raise UserError(f"{song} has two tables, {other} and {latest}: remove one of them")
    if others:
        print(f"{song}: labels from {latest.name}, the latest of {len(number)} tables")
    return latest
