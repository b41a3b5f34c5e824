"""The labels of a song's notes, from a table or from the names of its tracks."""

import numpy as np

from m2bert.base.errors import UserError
from m2bert.base.outputs import sha256
from m2bert.learning.names import normalised
from m2bert.learning.tables import LabelTable
from m2bert.notes.song import Song

TOLERANCE = {"ticks": 0.0, "beats": 0.02, "seconds": 0.02}
"""How far an onset in a table may be from the note's: tables round to two or more decimals."""


MOST_PAIRS = 10_000_000
"""Pairs of a row and a note that are compared; real songs have little more than one per note."""


def labels_of_notes(song: Song, table: LabelTable, allow_missing: bool = False) -> np.ndarray:
    """The label of each note, (notes,) object: a str, or None for drums and, with `allow_missing`,
    for notes without a row or with an empty cell.

    Raises `UserError` if the table is one of another song, and without `allow_missing` if a row has
    no note or a note that is not of drums has no label.
    """
    if table.sha256 and table.sha256 != sha256(song.path):
        raise UserError(
            f"{table.path} is a table of another song than {song.path}, or of another version of "
            "it (another sha256)"
        )
    row = rows_of_notes(song, table)
    unmatched = np.setdiff1d(np.arange(len(table.row)), row)
    if 2 * len(unmatched) > len(table.row):
        raise UserError(
            f"{table.path} is a table of another song than {song.path}: {len(unmatched):,} of "
            f"{len(table.row):,} rows have no note with their {table.unit} and pitch"
        )
    names = [label and label.strip() for label in table.label]
    labels = np.array([*names, None], object)[row]
    labels[song.is_drum] = None
    if not allow_missing:
        _check_complete(song, table, row, unmatched, ~song.is_drum & ~labels.astype(bool))
    return labels


def _check_complete(
    song: Song, table: LabelTable, row: np.ndarray, unmatched: np.ndarray, missing: np.ndarray
) -> None:
    """Raise `UserError` for the first of the rows without a note and of the notes without a label.

    row: of each note; missing: the notes without a label.
    """
    empty = np.sort(row[missing & (row >= 0)])
    if len(unmatched):
        one = unmatched[0]
        what = (
            f"{_rows(table, unmatched)}: {song.path} has no note with pitch {table.pitch[one]} at "
            f"{table.onset[one]:g} {table.unit}"
        )
    elif len(empty):
        what = f"{_rows(table, empty)}: the cell of {table.column} is empty"
    elif missing.any():
        tick, pitch = song.notes.start[missing][0], song.notes.pitch[missing][0]
        what = (
            f"{table.path} has no row for {missing.sum():,} of {len(song):,} notes of {song.path}, "
            f"the first with pitch {pitch} at {song.beats(tick):g} beats ({tick} ticks)"
        )
    else:
        return
    raise UserError(f"{what} (--allow_missing skips such rows and notes)")


def _rows(table: LabelTable, places: np.ndarray) -> str:
    more = f" and {len(places) - 1:,} more" if len(places) > 1 else ""
    return f"{table.path}, row {table.row[places[0]]}{more}"


def rows_of_notes(song: Song, table: LabelTable) -> np.ndarray:
    """The row of each note as an index of the table's arrays, (notes,) int64; -1 for none.

    A row belongs to a note of its pitch within `TOLERANCE` of its onset, the nearest pairs first.
    Of simultaneous notes of one pitch, that of the row's track is preferred, then pitched
    instruments to drums, then the nearest duration.
    """
    notes = song.notes
    times = np.stack([notes.start, notes.end - notes.start])
    start, duration = times if table.unit == "ticks" else song.beats(times)
    if table.unit == "seconds":
        start = song.seconds(notes.start)
        duration = song.seconds(notes.end) - start
    row, note = _candidates(table, start, notes.pitch)
    track = table.track - (0 if (table.track == 0).any() else 1)  # other programs count from 0
    order = np.lexsort(
        (
            np.abs(table.duration[row] - duration[note]),
            song.is_drum[note],
            track[row] != notes.track[note],
            np.abs(table.onset[row] - start[note]),
        )
    )
    row_of_note = np.full(len(song), -1)
    used = np.zeros(len(table.row), bool)
    for place in order:
        if row_of_note[note[place]] < 0 and not used[row[place]]:
            row_of_note[note[place]] = row[place]
            used[row[place]] = True
    return row_of_note


def _candidates(
    table: LabelTable, start: np.ndarray, pitch: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The pairs of a row and a note of one pitch within `TOLERANCE`, as two arrays of indices."""
    last, tolerance = np.ceil(start.max()), TOLERANCE[table.unit]
    # each pitch has an interval of its own on one axis
    place = pitch * (last + 4) + start
    wanted = table.pitch * (last + 4) + np.clip(table.onset, -1, last + 1)
    order = np.argsort(place, kind="stable")
    first = np.searchsorted(place[order], wanted - tolerance, side="left")
    count = np.searchsorted(place[order], wanted + tolerance, side="right") - first
    if count.sum() > MOST_PAIRS:
        raise UserError(f"{table.path}: too many rows and notes have the same onset and pitch")
    row = np.repeat(np.arange(len(wanted)), count)
    within = np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)
    return row, order[first[row] + within]


def labels_of_tracks(song: Song, allow_missing: bool = False) -> np.ndarray:
    """The name of each note's track, (notes,) object; None for drums and, with `allow_missing`, for
    tracks without a name, for which `UserError` is raised otherwise."""
    names = np.array([normalised(track.name).strip() or None for track in song.tracks], object)
    labels = names[song.notes.track]
    labels[song.is_drum] = None
    nameless = ~song.is_drum & ~labels.astype(bool)
    if nameless.any() and not allow_missing:
        track = song.notes.track[nameless][0] + 1
        raise UserError(f"{song.path}: track {track} has no name (--allow_missing skips its notes)")
    return labels
