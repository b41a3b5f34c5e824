"""Classes of pieces from folders: the songs below `folder/CLASS` are of that class."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from m2bert.annotation.names import counted
from m2bert.base.errors import UserError
from m2bert.base.files import path_text
from m2bert.learning.names import check_class_names, normalised
from m2bert.notes.file_reading import read_files
from m2bert.notes.file_search import SUFFIX_LIST, SUFFIXES, files_in, is_hidden
from m2bert.notes.reader import read_song
from m2bert.notes.skipped import Entry, print_skipped
from m2bert.notes.tokens import cp_notes_of

FEWEST_SONGS = 3
"""Songs that a class, or a task of notes, needs: one for each part of the data."""


def pieces_in(folder: Path) -> list[tuple[Path, str]]:
    """The songs in `folder/CLASS` and the folders below it, sorted, with the name of the class.

    Raises `UserError` if there are songs outside folders of classes, fewer than two classes, a
    class with fewer than `FEWEST_SONGS` songs, or names that `check_class_names` rejects.
    """
    if not folder.is_dir():
        raise UserError(f"there is no folder {folder}")
    inside = sorted(path for path in folder.iterdir() if not is_hidden(path.name))
    classes = {path: _class_name(path) for path in inside if path.is_dir()}
    loose = [path for path in inside if path not in classes and path.suffix.lower() in SUFFIXES]
    advice = f"put the songs of each class into a folder with its name, as {folder}/happy/song.mid"
    if loose:
        raise UserError(
            f"{counted(len(loose), 'file')} outside the folders of classes, such as {loose[0]}: "
            f"{advice}"
        )
    if len(classes) < 2:
        found = "one folder of a class" if classes else "no folders of classes"
        raise UserError(f"{folder} has {found}, but two are needed: {advice}")
    check_class_names((name, path) for path, name in classes.items())
    classes = {path: name.strip() for path, name in classes.items()}
    songs = [(song, name) for path, name in classes.items() for song in files_in([path], SUFFIXES)]
    _check_counts(classes.values(), [name for _, name in songs], f"{folder} (every {SUFFIX_LIST})")
    return songs


def _class_name(folder: Path) -> str:
    """The name as text, also if its bytes are not UTF-8."""
    return normalised(path_text(Path(folder.name)))


def _check_counts(classes: Iterable[str], labels: Iterable[str], where: str) -> None:
    count = Counter(labels)
    for name in classes:
        if count[name] < FEWEST_SONGS:
            raise UserError(
                f"the class {name!r} has too few different songs in {where}: {count[name]} of at "
                f"least {FEWEST_SONGS} (one each for training, validation and test)"
            )


def read_labelled_pieces(
    songs: Sequence[tuple[Path, str]], workers: int
) -> list[tuple[Path, np.ndarray, str]]:
    """Read the songs of `pieces_in`: paths, CP notes (notes, 4) uint8 and classes. Prints the
    number of songs and those that are skipped.

    Raises `UserError` if songs of two classes have equal notes, or if a class has fewer than
    `FEWEST_SONGS` songs with different notes.
    """
    label_of, skipped = dict(songs), list[Entry]()
    pieces = [
        (path, notes, label_of[path])
        for path, notes in read_files(_read_notes, list(label_of), workers, skipped)
    ]
    print(f"{len(pieces):,} songs, {sum(len(notes) for _, notes, _ in pieces):,} notes")
    print_skipped(skipped)
    first: dict[bytes, tuple[Path, str]] = {}
    for path, notes, label in pieces:
        other, its = first.setdefault(notes.tobytes(), (path, label))
        if its != label:
            raise UserError(
                f"{other} and {path} have the same notes, but are in two classes: remove one of "
                "them"
            )
    found = [label for _, label in first.values()]
    _check_counts(sorted(set(label_of.values())), found, "the files that can be read")
    return pieces


def _read_notes(path: Path) -> np.ndarray:
    return cp_notes_of(read_song(path))
