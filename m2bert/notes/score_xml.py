"""XML of scores: parsed safely, and MusicXML prepared for partitura (of which lxml is a part)."""

from typing import Any

from lxml import etree

from m2bert.notes.skipped import UNREADABLE, RejectedSong

REMOVED_ELEMENTS = (
    *("accidental", "barline", "beam", "direction-type", "dot", "figured-bass", "harmony"),
    *("lyric", "notations", "stem", "time-modification", "type"),
)
"""Elements of MusicXML that do not change how long or how high a note sounds. Some take partitura
long, or make it fail."""

QUARTERS = {"whole": 4.0, "half": 2.0, "quarter": 1.0, "eighth": 0.5, "16th": 0.25, "32nd": 0.125}
"""Quarter notes of the beat unit of a metronome mark."""


def parse_xml(data: bytes) -> Any:
    """The root element. Entities are neither fetched nor expanded.

    Raises `RejectedSong` if it is not well-formed or declares entities.
    """
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
    try:
        root = etree.fromstring(data, parser)
    except etree.XMLSyntaxError as error:
        raise RejectedSong(UNREADABLE, "its XML is damaged or incomplete") from error
    declared = root.getroottree().docinfo.internalDTD
    if declared is not None and any(True for _ in declared.iterentities()):
        raise RejectedSong(UNREADABLE, "it declares XML entities, which a score does not need")
    return root


def programs_of(root: Any) -> dict[str, tuple[int, bool]]:
    """By the ids of MusicXML's parts, the General MIDI program, from 0, and whether it is drums."""
    found = {}
    for part in root.iterfind("part-list/score-part"):
        program = _number(part.findtext("midi-instrument/midi-program"), 1)
        channel = _number(part.findtext("midi-instrument/midi-channel"), 1)
        found[part.get("id")] = (min(max(int(program) - 1, 0), 127), channel == 10)
    return found


def first_tempo(root: Any) -> float:
    """The first tempo of MEI that is meant for playback; 0 if there is none."""
    found = (_number(element.get("midi.bpm")) for element in root.iter())
    return next(filter(None, found), 0.0)


def prepare_musicxml(root: Any) -> int:
    """Change MusicXML so that partitura reads what it would ignore or fail at; returns the number
    of notes without a pitch.

    Octaves of transpositions become semitones; metronome marks get a tempo for playback; cue notes
    and notes without a pitch become rests; alterations are truncated to semitones;
    `REMOVED_ELEMENTS` are removed.
    """
    unpitched = 0
    for transpose in root.iter("transpose"):
        octaves = int(_number(transpose.findtext("octave-change")))
        for name, steps in (("diatonic", 7), ("chromatic", 12)):
            element = transpose.find(name)
            if element is None:
                element = etree.SubElement(transpose, name)
            element.text = str(int(_number(element.text)) + steps * octaves)
    for direction in root.iter("direction"):
        mark = direction.find("direction-type/metronome")
        tempo = None if mark is None else _quarters_per_minute(mark)
        if tempo and direction.find("sound[@tempo]") is None:
            etree.SubElement(direction, "sound", tempo=f"{tempo:g}")
    etree.strip_elements(root, *REMOVED_ELEMENTS)
    for note in list(root.iter("note")):
        percussion, alter = note.find("unpitched"), note.find("pitch/alter")
        if alter is not None:
            alter.text = str(int(_number(alter.text)))
        if percussion is not None:
            unpitched += 1
            _silence(note, percussion)
        elif note.find("cue") is not None and note.find("rest") is None:
            _silence(note, note.find("pitch"))
    return unpitched


def _silence(note: Any, pitch: Any) -> None:
    """Replace a note by a rest, or remove it where another note of its chord has its place."""
    following = note.getnext()
    chord = None if following is None else following.find("chord")
    if note.find("chord") is not None:
        note.getparent().remove(note)
    elif chord is not None:
        following.remove(chord)
        note.getparent().remove(note)
    else:
        note.replace(pitch, etree.Element("rest"))


def _quarters_per_minute(mark: Any) -> float:
    """The tempo of a metronome mark; 0 if it has no number ("a quarter as long as a half")."""
    unit = QUARTERS.get(mark.findtext("beat-unit", "").strip(), 0)
    return (
        unit
        * (2 - 0.5 ** len(mark.findall("beat-unit-dot")))
        * _number(mark.findtext("per-minute"))
    )


def _number(text: str | None, default: float = 0.0) -> float:
    """The number in a text; `default` if there is none."""
    try:
        return float(text or "")
    except ValueError:
        return default
