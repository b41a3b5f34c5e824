"""The score in the bytes of a file: recognised by its content, and unpacked."""

import importlib.util
import re
import zipfile
from io import BytesIO
from typing import NamedTuple

from m2bert.notes.skipped import NOT_INSTALLED, SEVERAL_PIECES, UNREADABLE, RejectedSong

PARTITURA = "partitura==1.9.0"  # an optional install

LARGEST = 200 * 2**20
"""Bytes that a compressed score may expand to."""

_CONTAINER = "META-INF/container.xml"
_MUSICXML_TYPES = (None, "application/vnd.recordare.musicxml+xml")
_ROOT = re.compile(r"<(?:[\w.-]+:)?(score-partwise|score-timewise|mei|museScore)[\s>]")
_KERN = re.compile(r"^(?:[^\n]*\t)?\*\*kern[\t\r\n]", re.MULTILINE)
_BEGINNING = 2**16
"""Bytes within which a text shows its format: comments may precede the root of XML."""

_FORMATS = {"score-partwise": "musicxml", "mei": "mei"}
_NOT_READ = {
    "score-timewise": "it is MusicXML ordered by measures (score-timewise): save it as "
    "score-partwise",
    "museScore": "it is a file of MuseScore: export it as MusicXML",
}


class ScoreText(NamedTuple):
    """A score as text: its format, "musicxml", "mei" or "kern", and the bytes of the text."""

    format: str
    data: bytes


def score_in(data: bytes) -> ScoreText | None:
    """The score in the bytes of a file, unpacked; None if they are something else.

    Raises `RejectedSong` for a bad archive and for scores in formats that are not read.
    """
    if data.startswith(b"MThd"):  # most files
        return None
    if not data.startswith(b"PK\3\4"):
        return _score_in(data)
    check_partitura()
    if score := _score_in(_unpacked(data)):
        return score
    raise RejectedSong(UNREADABLE, "it is a ZIP archive without a score")


def check_partitura() -> None:
    """Raise `RejectedSong` if the library that reads scores is not installed."""
    if importlib.util.find_spec("partitura") is None:
        raise RejectedSong(NOT_INSTALLED, f"partitura reads scores: pip install {PARTITURA}")


def _score_in(data: bytes) -> ScoreText | None:
    beginning = _decoded(data[:_BEGINNING])
    root = _ROOT.search(beginning)
    if not root and not _KERN.search(beginning):
        return None
    if root and root[1] in _NOT_READ:
        raise RejectedSong(UNREADABLE, _NOT_READ[root[1]])
    check_partitura()
    return ScoreText(_FORMATS[root[1]] if root else "kern", data)


def _decoded(data: bytes) -> str:
    is_utf16 = data[:2] in (b"\xff\xfe", b"\xfe\xff") or data[1:2] == b"\0"
    return data.decode("utf-16" if is_utf16 else "utf-8", "replace")


def _unpacked(data: bytes) -> bytes:
    """The root file of a compressed MusicXML file; empty bytes if the archive has none."""
    try:
        with zipfile.ZipFile(BytesIO(data)) as archive:
            if _CONTAINER not in archive.namelist():
                return b""
            names = _root_files(_member(archive, _CONTAINER))
            if len(names) > 1:
                raise RejectedSong(
                    SEVERAL_PIECES, f"it has {len(names)} scores: save each as a file of its own"
                )
            return _member(archive, names[0]) if names else b""
    except RejectedSong:
        raise
    except Exception as error:  # zipfile raises errors of any kind for damaged archives
        raise RejectedSong(UNREADABLE, "it is a damaged or encrypted ZIP archive") from error


def _root_files(container: bytes) -> list[str]:
    from m2bert.notes.score_xml import parse_xml  # which needs an optional library

    roots = parse_xml(container).iterfind(".//{*}rootfile[@full-path]")
    return [e.get("full-path") for e in roots if e.get("media-type") in _MUSICXML_TYPES]


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    with archive.open(name) as file:
        data = file.read(LARGEST + 1)
    if len(data) > LARGEST:
        raise RejectedSong(UNREADABLE, f"it expands to more than {LARGEST >> 20} MB")
    return data
