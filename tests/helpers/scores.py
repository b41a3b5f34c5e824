"""Scores for tests."""

import zipfile
from io import BytesIO

CONTAINER = '<container><rootfiles><rootfile full-path="{}"{}/></rootfiles></container>'


TYPES = {1: "eighth", 2: "quarter", 4: "half", 8: "whole"}
"""By duration in divisions, two of which are a quarter note."""


def note(step, octave, duration, *more, alter=0):
    """A note of MusicXML; `more` are elements: those of `pitch` follow them."""
    before = "".join(f"<{name}/>" for name in more if name in ("chord", "cue", "grace"))
    after = "".join(x for x in more if x.startswith("<"))
    pitch = f"<step>{step}</step><alter>{alter}</alter><octave>{octave}</octave>"
    length = "" if "grace" in more else f"<duration>{duration}</duration>"
    kind = f"<type>{TYPES.get(duration, 'eighth')}</type>"
    return f"<note>{before}<pitch>{pitch}</pitch>{length}{kind}{after}</note>"


def rest(duration):
    return f"<note><rest/><duration>{duration}</duration></note>"


def attributes(divisions=2, beats=4, beat_type=4, more=""):
    time = f"<time><beats>{beats}</beats><beat-type>{beat_type}</beat-type></time>"
    return f"<attributes><divisions>{divisions}</divisions>{time}{more}</attributes>"


def tempo(beats_per_minute):
    return f'<direction><sound tempo="{beats_per_minute}"/></direction>'


def musicxml(*parts, names=("Voice", "Piano"), instruments=("", ""), first=1):
    """A score of parts, each a list of the contents of its measures, numbered from `first`."""
    listed = "".join(
        f'<score-part id="P{i}"><part-name>{name}</part-name>{instrument}</score-part>'
        for i, (_, name, instrument) in enumerate(zip(parts, names, instruments, strict=False))
    )
    music = "".join(
        f'<part id="P{i}">'
        + "".join(f'<measure number="{n}">{m}</measure>' for n, m in enumerate(measures, first))
        + "</part>"
        for i, measures in enumerate(parts)
    )
    return (
        '<?xml version="1.0"?><!DOCTYPE score-partwise PUBLIC "-//Recordare//DTD MusicXML 4.0 '
        'Partwise//EN" "http://www.musicxml.org/dtds/partwise.dtd"><score-partwise>'
        f"<part-list>{listed}</part-list>{music}</score-partwise>"
    ).encode()


def archive(**files):
    """A ZIP archive; names of files have `__` for / and `_` for a dot."""
    data = BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as zipped:
        for name, content in files.items():
            zipped.writestr(name.replace("__", "/").replace("_", "."), content)
    return data.getvalue()


def mxl(content, name="score.xml"):
    """A compressed MusicXML file."""
    container = CONTAINER.format(name, "")
    return archive(
        META=b"", **{"META-INF__container_xml": container, name.replace(".", "_"): content}
    )


WALTZ = musicxml(
    [
        attributes(beats=3) + tempo(90) + note("G", 4, 2),
        note("C", 5, 4) + note("E", 5, 4, "chord") + note("D", 5, 2, '<tie type="start"/>'),
        note("D", 5, 4, '<tie type="stop"/>') + note("F", 5, 0, "grace") + note("C", 5, 2),
    ],
    [
        attributes(beats=3) + rest(2),
        note("C", 3, 2) + note("E", 3, 2) + note("E", 3, 2),
        note("C", 3, 6),
    ],
    first=0,
)
"""Two measures of 3/4 after a pickup of a quarter note, for voice and piano."""

WALTZ_NOTES = {
    (-1, 1, 67), (0, 2, 72), (0, 2, 76), (2, 3, 74), (5, 1, 72),
    (0, 1, 48), (1, 1, 52), (2, 1, 52), (3, 3, 48),
}  # fmt: skip
"""Onset from the first downbeat, duration (quarters) and pitch of its notes, the grace note
omitted."""

KERN = b"""**kern\t**kern
*M3/4\t*M3/4
*MM90\t*
4r\t4g
=1\t=1
4C\t2cc 2ee
4E\t.
4E\t[4dd
=2\t=2
2.C\t2dd]
.\t4cc
==\t==
*-\t*-
"""
"""The same without the grace note, as Humdrum."""


def mei(*measures, ties="", first=0):
    """MEI of one staff in 3/4; a measure holds what its layer holds."""
    layers = [f'<staff n="1"><layer n="1">{measure}</layer></staff>' for measure in measures]
    layers[0] += ties
    music = "".join(f'<measure n="{n}">{layer}</measure>' for n, layer in enumerate(layers, first))
    staff = '<staffGrp><staffDef n="1" lines="5" clef.shape="G" clef.line="2"/></staffGrp>'
    definition = f'<scoreDef meter.count="3" meter.unit="4" midi.bpm="90">{staff}</scoreDef>'
    return (
        '<mei xmlns="http://www.music-encoding.org/ns/mei"><music><body><mdiv><score>'
        f"{definition}<section>{music}</section></score></mdiv></body></music></mei>"
    ).encode()


MEI = mei(
    '<note xml:id="a" dur="4" oct="4" pname="g"/>',
    '<chord xml:id="b" dur="2"><note xml:id="c" oct="5" pname="c"/>'
    '<note xml:id="d" oct="5" pname="e"/></chord><note xml:id="e" dur="4" oct="5" pname="d"/>',
    '<note xml:id="f" dur="2" oct="5" pname="d"/><note xml:id="g" dur="4" oct="5" pname="c"/>',
    ties='<tie startid="#e" endid="#f"/>',
)
"""The voice of the waltz as MEI."""

DRUMS = musicxml([attributes() + "<note><unpitched/><duration>8</duration></note>"])
