"""Scores: notes compared with music21, rules on small scores, bad input."""

import hashlib
import json
import tarfile
from fractions import Fraction

import numpy as np
import pytest

from m2bert.notes import score_formats
from m2bert.notes.reader import read_song
from m2bert.notes.skipped import NO_USABLE_NOTES, RejectedSong
from m2bert.notes.tokens import check_four_four
from tests.helpers.midi_files import write_midi
from tests.helpers.scores import (
    CONTAINER,
    DRUMS,
    KERN,
    MEI,
    WALTZ,
    WALTZ_NOTES,
    archive,
    attributes,
    musicxml,
    mxl,
    note,
    rest,
    tempo,
)
from tests.helpers.shared import GOLDEN, SHARED

DATA = SHARED / "data"
ARCHIVES = {"openscore_mxl.tar": 20, "src_augnet.tar.gz": 2}
"""Archives with scores whose notes music21 has counted: MusicXML and kern."""


@pytest.fixture
def read(tmp_path):
    """Write the bytes of a file and read it as a song."""

    def write_and_read(content, name="song"):
        (tmp_path / name).write_bytes(content)
        return read_song(tmp_path / name)

    return write_and_read


def rows(song):
    """Onset from the first measure, duration (quarters) and pitch of the notes with a duration."""
    notes, scale = song.notes, song.notes.ticks_per_beat
    times = np.stack([notes.start - song.measures.start[0], notes.end - notes.start], 1).tolist()
    return sorted(
        (Fraction(onset, scale), Fraction(length, scale), pitch)
        for (onset, length), pitch in zip(times, notes.pitch.tolist(), strict=True)
        if length
    )


def from_downbeat(song):
    """`rows` with onsets from the second measure, as a set."""
    pickup = Fraction(int(np.diff(song.measures.start)[0]), song.notes.ticks_per_beat)
    return {(onset - pickup, length, pitch) for onset, length, pitch in rows(song)}


def test_score_reads_musicxml(read):
    song = read(WALTZ)
    assert from_downbeat(song) == WALTZ_NOTES
    assert [(track.name, track.is_drum) for track in song.tracks] == [
        ("Voice", False),
        ("Piano", False),
    ]
    assert song.notes.time_signatures == ((3, 4, 3 * 480),)
    # the first downbeat is where the second bar of CP notes begins
    assert song.measures.start.tolist() == [1440, 1920, 3360]
    assert song.measures.number == ("0", "1", "2")
    assert song.seconds(1920) == pytest.approx(4 * 60 / 90)
    (grace,) = np.flatnonzero(song.notes.start == song.notes.end)
    assert (song.notes.start[grace], song.notes.pitch[grace]) == (1920 + 5 * 480, 77)


def test_score_formats_give_the_same_notes(read):
    assert from_downbeat(read(mxl(WALTZ))) == WALTZ_NOTES
    assert from_downbeat(read(WALTZ.decode().replace("UTF-8", "").encode("utf-16"))) == WALTZ_NOTES
    kern = read(KERN)
    assert from_downbeat(kern) == WALTZ_NOTES
    assert kern.measures.number == ("0", "1", "2")
    voice = {row for row in WALTZ_NOTES if row[2] > 60}
    assert from_downbeat(read(MEI)) == voice


@pytest.mark.parametrize("name", ["song.mid", "song.krn", "song", "song.MXL"])
def test_score_formats_are_recognised_by_content(read, name, tmp_path):
    assert from_downbeat(read(WALTZ, name)) == WALTZ_NOTES
    assert len(read_song(write_midi(tmp_path / name))) == 8


def test_score_has_the_sounding_pitch_of_transposing_instruments(read):
    def transpose(semitones, octaves):
        more = f"<octave-change>{octaves}</octave-change>" if octaves else ""
        return attributes(more=f"<transpose><chromatic>{semitones}</chromatic>{more}</transpose>")

    clarinet = [transpose(-2, 0) + note("C", 4, 8), transpose(-9, 0) + note("C", 4, 8)]
    double_bass = [transpose(0, -1) + note("C", 4, 8), note("D", 4, 8)]
    song = read(musicxml(clarinet, double_bass))
    assert song.notes.pitch.tolist() == [58, 51, 48, 50]


def test_score_omits_cue_notes_and_percussion_and_rounds_microtones(read):
    music = note("C", 4, 2, "cue") + note("D", 4, 2, "cue") + note("E", 4, 2, "chord")
    music += note("F", 4, 2) + note("A", 4, 2, "chord", "cue") + note("G", 4, 2, alter=0.5)
    drum = "<note><unpitched/><duration>4</duration></note>"
    song = read(musicxml([attributes() + music + drum]))
    assert rows(song) == [(1, 1, 64), (2, 1, 65), (3, 1, 67)]
    assert song.omitted == {"percussion without a pitch": 1}


def test_score_tempos_are_those_of_marks(read):
    mark = "<direction><direction-type><metronome><beat-unit>half</beat-unit>{}"
    mark += "<per-minute>50</per-minute></metronome></direction-type></direction>"
    bar = note("C", 4, 8)
    song = read(
        musicxml([attributes() + mark.format("") + bar, mark.format("<beat-unit-dot/>") + bar])
    )
    assert [(tick, round(bpm, 3)) for tick, bpm in song.tempos] == [(0, 100), (1920, 150)]
    assert read(musicxml([attributes() + bar])).tempos == ()
    assert len(read(musicxml([attributes() + tempo(0) + bar]))) == 1  # no tempo at all


def test_score_counts_repeated_time_signatures_once(read):
    bar = note("C", 4, 8)
    song = read(musicxml(*[[attributes() + bar, attributes() + bar]] * 2))
    check_four_four(song.notes)
    waltz = attributes(beats=3) + note("C", 4, 6)
    with pytest.raises(RejectedSong, match="4/4, 3/4; pre-training takes"):
        check_four_four(read(musicxml([attributes() + bar, waltz])).notes)


def test_score_ticks_fit_all_divisions(read):
    """Of 480 and of 3, 7 and 11 parts of a quarter there is one; not of 9973 more."""
    music = [attributes(divisions) + note("C", 4, 4 * divisions) for divisions in (3, 7, 11)]
    assert read(musicxml(music)).notes.ticks_per_beat == 480
    fine = attributes(9973) + note("C", 4, 1) + note("D", 4, 4 * 9973 - 1)
    song = read(musicxml([*music, fine]))
    assert song.notes.ticks_per_beat == 9973
    assert song.notes.end[-2:].tolist() == [12 * 9973 + 1, 16 * 9973]


def test_score_parts_have_programs_and_drums(read):
    flute = "<midi-instrument><midi-program>74</midi-program></midi-instrument>"
    drums = "<midi-instrument><midi-channel>10</midi-channel></midi-instrument>"
    waltz = WALTZ.decode()
    for name, instrument in (("Voice", flute), ("Piano", drums)):
        waltz = waltz.replace(f"{name}</part-name>", f"{name}</part-name>{instrument}")
    song = read(waltz.encode())
    assert [(track.program, track.is_drum) for track in song.tracks] == [(73, False), (0, True)]


@pytest.mark.skipif(not DATA.is_dir(), reason=f"there is no {DATA}")
@pytest.mark.parametrize(("archive", "count"), ARCHIVES.items())
def test_score_notes_equal_those_of_music21(archive, count, tmp_path):
    expected = json.loads((GOLDEN / "scores.json").read_text())
    with tarfile.open(DATA / archive) as scores:
        names = sorted(expected.keys() & set(scores.getnames()))
        for name in names:
            scores.extract(name, tmp_path, filter="data")
    assert len(names) == count
    for name in names[::2]:
        song, facts = read_song(tmp_path / name), expected[name]
        found = rows(song)
        text = "\n".join(f"{onset} {length} {pitch}" for onset, length, pitch in found)
        assert (len(found), len(song) - len(found)) == (facts["notes"], facts["grace_notes"]), name
        assert hashlib.sha256(text.encode()).hexdigest() == facts["sha256"], name
        assert len(song.measures.number) == facts["measures"], name


# Bad input

ENTITIES = (
    b'<?xml version="1.0"?><!DOCTYPE score-partwise [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
    b"<score-partwise><part-list/>&x;</score-partwise>"
)
TWO = CONTAINER.format("a.xml", "").replace(
    "</rootfiles>", '<rootfile full-path="b.xml"/></rootfiles>'
)
BAD = {
    "a ZIP archive of something else": (archive(a_txt="hello"), "a ZIP archive without a score"),
    "a container without its file": (
        archive(META__nothing="", **{"META-INF__container_xml": CONTAINER.format("gone.xml", "")}),
        "damaged or encrypted ZIP archive",
    ),
    "a damaged archive": (mxl(WALTZ)[:-40], "damaged or encrypted ZIP archive"),
    "several root files": (
        archive(**{"META-INF__container_xml": TWO, "a_xml": WALTZ, "b_xml": WALTZ}),
        "2 scores: save each as a file of its own",
    ),
    "MuseScore's own format": (b'<?xml version="1.0"?><museScore version="4">', "as MusicXML"),
    "ordered by measures": (b"<score-timewise></score-timewise>", "save it as score-partwise"),
    "XML cut short": (WALTZ[:-300], "XML is damaged or incomplete"),
    "external entities": (ENTITIES, "declares XML entities"),
    "no notes": (musicxml([attributes() + rest(8)]), "it has no notes"),
    "percussion alone": (DRUMS, "it has percussion alone"),
    "no parts": (b"<score-partwise><part-list/></score-partwise>", "it has no notes"),
    "a note of a year": (musicxml([attributes() + note("C", 4, 2**40)]), "lasts longer than"),
    "a kern file with too few spines": (KERN.replace(b"4E\t.", b"4E"), "is damaged, or Humdrum"),
    "an unknown rhythm of kern": (KERN.replace(b"2cc 2ee", b"x&%"), "is damaged, or Humdrum"),
    "MEI without music": (b'<mei xmlns="http://www.music-encoding.org/ns/mei"/>', "or MEI of a"),
}


@pytest.mark.parametrize(("content", "words"), BAD.values(), ids=BAD)
def test_read_song_rejects_bad_scores_with_the_reason(read, content, words):
    with pytest.raises(RejectedSong, match=words) as caught:
        read(content)
    assert str(caught.value).count("\n") == 0
    assert (caught.value.reason == NO_USABLE_NOTES) == ("it has" in words)


def test_read_song_rejects_an_archive_that_expands_too_far(read, monkeypatch):
    monkeypatch.setattr(score_formats, "LARGEST", 10_000)
    with pytest.raises(RejectedSong, match="expands to more than"):
        read(mxl(b"<score-partwise>" + b" " * 20_000))
