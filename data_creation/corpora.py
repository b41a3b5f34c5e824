"""Where the files of a pre-training corpus are: the published ones, and any folder of music."""

from pathlib import Path, PurePosixPath
from typing import NamedTuple

from m2bert.base.errors import UserError
from m2bert.notes.file_search import SUFFIX_LIST, files_below
from m2bert.notes.object_arrays import read_items


class CorpusSource(NamedTuple):
    """A published corpus: files below `folder`, by pattern or by a list.

    `folder` and `listing` are relative to the data sets' folder. `listing` is a pickled list of
    paths relative to `folder`.
    """

    folder: str
    patterns: tuple[str, ...] = ()
    listing: str | None = None


# Adding a corpus is adding a row (`docs/METHOD.md`, "Corpora").
CORPORA = {
    "pop909": CorpusSource("pop909_processed", ("train/*.mid", "valid/*.mid", "test/*.mid")),
    "pianist8": CorpusSource(
        "joann8512-Pianist8-ab9f541", ("train/*/*.mid", "valid/*/*.mid", "test/*/*.mid")
    ),
    "pop1k7": CorpusSource("Pop1K7", ("midi_transcribed/*/*.midi",)),
    "ASAP": CorpusSource("asap-dataset", listing="ASAP_song.pkl"),
    "emopia": CorpusSource("EMOPIA_1.0", ("train/*.mid", "valid/*.mid", "test/*.mid")),
    "lmd": CorpusSource("lmd_matched", ("*/*/*/*/*.mid",)),
    "openscore_lieder": CorpusSource("openscore_lieder", ("*/*/*/*.mxl",)),
    "openscore_quartets": CorpusSource("openscore_quartets", ("*/*/*.mxl",)),
}
_OWN = CorpusSource("")


def find_files(name: str, dataset_dir: Path, lmd_dir: Path | None = None) -> tuple[Path, list[str]]:
    """The folder of corpus `name` and its files, sorted, relative to that folder.

    lmd_dir: replaces LMD's folder. A name that is not in `CORPORA` stands for every MIDI file and
    score below `dataset_dir`. Raises `UserError` if there is no such folder, list, or file.
    """
    corpus = CORPORA.get(name, _OWN)
    folder = lmd_dir if name == "lmd" and lmd_dir else dataset_dir / corpus.folder
    if not folder.is_dir():
        raise UserError(f"{name}: there is no folder {folder}")
    if corpus.listing:
        files = _listed_files(name, dataset_dir / corpus.listing)
    elif corpus.patterns:
        paths = (path for pattern in corpus.patterns for path in folder.glob(pattern))
        files = [path.relative_to(folder).as_posix() for path in paths]
    else:
        files = files_below(folder)
    if not files:
        wanted = corpus.listing or ", ".join(corpus.patterns) or f"every {SUFFIX_LIST}"
        raise UserError(f"{name}: no files in {folder} (looked for {wanted})")
    return folder, sorted(files)


def _listed_files(name: str, listing: Path) -> list[str]:
    if not listing.is_file():
        raise UserError(f"{name}: there is no list of its files, {listing}")
    files = read_items(listing)
    for file in files:
        path = PurePosixPath(file if isinstance(file, str) else "/")
        if not path.name or path.is_absolute() or ".." in path.parts:
            raise UserError(
                f"{listing} lists {str(file)[:100]!r}, which is not a path below the data set"
            )
    return files
