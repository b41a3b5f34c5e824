"""Warnings for songs that are unlike the training data."""

import mido
import numpy as np
import pytest

from m2bert.annotation.warnings import marks_of, warnings_of
from m2bert.notes.reader import read_song
from tests.helpers.midi_files import END, SCALE, midi_bytes, note, off, on, save, write_midi


def warnings(path):
    song = read_song(path)
    return warnings_of(song, marks_of(song))


def test_unusual_notes_are_marked_and_named(tmp_path):
    unusual = [(480, 500, 62), (960, 960 + 9 * 480, 64), (960, 1440, 20), (960, 1440, 108)]
    path = write_midi(tmp_path / "song.mid", [(0, 480, 60), *unusual], signatures=[(3, 4)])
    song = read_song(path)
    marked = {name: song.notes.pitch[notes].tolist() for name, notes in marks_of(song).items()}
    assert marked == {
        "drums": [],
        "short": [62],
        "pitch clipped": [20, 108],
        "duration clipped": [64],
    }
    text = " ".join(warnings(path))
    for words in ("3/4", "2 notes are below A#0 or above B7", "1 note is longer than 8", "64th"):
        assert words in text


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ({"signatures": [(4, 4), (2, 2)]}, None),
        ({"tempos": ()}, "no tempo"),
        ({"notes": [*[(480 * k, 480 * k + 480, 60) for k in range(60)], (0, 20, 62)]}, None),
        ({"notes": [(0, 20, 60)]}, "every note is shorter than a 64th note"),
    ],
)
def test_single_warnings(tmp_path, written, words):
    found = warnings(write_midi(tmp_path / "song.mid", **{"notes": SCALE, **written}))
    assert len(found) == (words is not None)
    assert not found or words in found[0]


def test_time_signatures_are_named_only_if_the_bars_are_those_of_the_file(tmp_path):
    off_grid = [(start + start // 13, end + 99, pitch) for start, end, pitch in chords()]
    for notes, count in ((chords(), 1), (off_grid, 0)):
        path = write_midi(tmp_path / "song.mid", notes, signatures=[(3, 4)])
        assert sum("3/4" in text for text in warnings(path)) == count


def test_chords_of_a_single_line_are_called_guesses(tmp_path):
    for notes, count in (([(s, e + 30, p) for s, e, p in SCALE], 1), (chords(), 0)):
        song = read_song(write_midi(tmp_path / "song.mid", notes))
        found = warnings_of(song, marks_of(song), ["chordroot"])
        assert sum("chords of a single line" in text for text in found) == count


def test_malformed_files_drums_and_unended_notes_are_named(tmp_path):
    data = on(0, 60) + on(9, 60) + on(0, 36, 9) + off(9, 36, 9) + off(480, 60) + END
    (tmp_path / "song.mid").write_bytes(midi_bytes(data, END, declared=1))
    text = " ".join(warnings(tmp_path / "song.mid"))
    assert "the file is malformed and was repaired" in text
    assert "tracks not counted in the header (1)" in text
    assert "1 note is begun but never ended in the file: omitted" in text
    assert "1 note is drums" in text


def test_drums_by_name_are_named(tmp_path):
    kit, mallets = (mido.MetaMessage("track_name", name=name) for name in ("Drum Kit", "Perc"))
    xylophone = mido.Message("program_change", program=13, channel=1)
    tracks = [[kit, *note(0, 9, 36)], [mallets, xylophone, *note(0, 480, 70, 1)]]
    drums, doubt = warnings(save(tmp_path / "song.mid", *tracks))[:2]
    assert "1 note is drums (Drum Kit): they get no labels" in drums
    assert "notes (Perc) were read as pitches, although the name means drums" in doubt


def melody_warnings(folder, notes, **written):
    song = read_song(write_midi(folder / "song.mid", notes, **written))
    return warnings_of(song, marks_of(song), ["beat", "melody", "localkey"])


def chords(seconds_late=0.0, tempo=120):
    """Four notes at each 8th of 120 beats a minute, in ticks of a file that states 120."""
    generator = np.random.default_rng(0)
    for eighth in range(64):
        begin = round(240 * eighth * 120 / tempo + 960 * generator.normal(0, seconds_late))
        for pitch in (48, 60, 64, 67):
            yield max(begin, 0), max(begin, 0) + round(240 * 120 / tempo), pitch


def test_no_warning_for_pop_on_the_grid(tmp_path):
    assert melody_warnings(tmp_path, chords()) == []
    assert melody_warnings(tmp_path, [(s + 100, e + 100, p) for s, e, p in chords()]) == []


def test_warning_for_music_off_the_grid_names_the_labels(tmp_path):
    (found,) = melody_warnings(tmp_path, chords(0.012, tempo=97))
    assert "local keys and melody may be wrong" in found
    assert "beats may" not in found
    song = read_song(tmp_path / "song.mid")
    assert warnings_of(song, marks_of(song), ["beat", "downbeat", "emotion"]) == []


def test_warning_for_music_unlike_pop_names_the_reason(tmp_path):
    (found,) = melody_warnings(tmp_path, SCALE)
    assert "unlike the pop arrangements" in found
    assert "0.9 simultaneous notes" in found
    # some songs of POP909 are in 2/4 or 3/4
    (found,) = melody_warnings(tmp_path, chords(), signatures=[(2, 4)])
    assert "unlike" not in found
    file = mido.MidiFile(write_midi(tmp_path / "song.mid", chords()))
    file.tracks[0].insert(0, mido.Message("program_change", program=48))
    file.save(tmp_path / "strings.mid")
    song = read_song(tmp_path / "strings.mid")
    (found,) = warnings_of(song, marks_of(song), ["velocity"])
    assert "mostly strings, winds or voices" in found
    assert warnings_of(song, marks_of(song), ["localkey"]) == []
