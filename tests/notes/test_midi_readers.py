"""Readers of MIDI files, which must find the same notes."""

import random
import sys
import tarfile
from functools import partial

import pytest

from data_creation import prepare_pretrain
from m2bert.notes import midi_reader
from m2bert.notes.midi_reader import READERS, SYMUSIC
from m2bert.notes.reader import read_song
from m2bert.notes.skipped import NO_USABLE_NOTES, UNREADABLE
from tests.helpers.commands import run_here, run_here_well
from tests.helpers.malformed_midi import MALFORMED
from tests.helpers.midi_files import END, FOUR_FOUR, midi_bytes, off, on, program, write_midi
from tests.helpers.readings import values, values_or_reason
from tests.helpers.shared import GOLDEN, REPOSITORY, SHARED

ARCHIVES = ("asap", "emopia", "pianist8", "pop1k7_midi_transcribed", "pop909_processed", "src_orch")
FILES_PER_ARCHIVE = 5
LARGEST = 20_000  # bytes; mido takes seconds for the largest files


def assert_same(path):
    """Both readers find the same notes, or reject the file for the same reason, in both ways;
    returns what they find as the original does, and otherwise."""
    both = []
    for as_published in (True, False):
        expected, found = (
            values_or_reason(partial(read_song, path, reader, as_published)) for reader in READERS
        )
        assert found == expected, path
        both.append(found)
    return both


@pytest.fixture
def by_symusic_alone(monkeypatch):
    """Where symusic leaves a file to mido, that fails."""

    def fail(*_):
        raise AssertionError("left to mido")

    monkeypatch.setattr(midi_reader, "read_with_mido", fail)


NOTE = on(0, 60) + off(480, 60)
SONG = FOUR_FOUR + NOTE + END
FAR = 2**28 - 1  # the longest time between two events

# What symusic reads itself.
PLAIN = {
    "format 0": midi_bytes(SONG, form=0),
    "a track without notes": midi_bytes(FOUR_FOUR + END, NOTE + END),
    "controls without notes": midi_bytes(FOUR_FOUR + b"\0\xb0\7\x64" + END, NOTE + END),
    "a note without end": midi_bytes(FOUR_FOUR + on(0, 60) + on(5, 62) + off(9, 62) + END),
    "an end without note": midi_bytes(FOUR_FOUR + NOTE + off(9, 60) + off(9, 61) + END),
    "a note of no length": midi_bytes(FOUR_FOUR + on(0, 60) + off(0, 60) + NOTE + END),
    "running status": midi_bytes(FOUR_FOUR + on(0, 60) + b"\x09\x3e\x40\x60\x3c\0\x60\x3e\0" + END),
    "drums": midi_bytes(SONG, on(0, 36, 9) + off(99, 36, 9) + END, NOTE + END),
    "ends in another order than starts": midi_bytes(
        FOUR_FOUR + on(0, 64) + on(0, 60) + on(5, 62) + off(5, 62) + off(0, 60) + off(0, 64) + END
    ),
    "overlapping notes of a pitch": midi_bytes(
        FOUR_FOUR + on(0, 60, 0, 9) + on(0, 60, 0, 8) + on(5, 60) + off(5, 60) * 3 + END
    ),
    "a system message": midi_bytes(FOUR_FOUR + b"\0\xf0\5\x7e\x7f\x09\1\xf7" + NOTE + END),
    "a name in no encoding": midi_bytes(FOUR_FOUR + b"\0\xff\3\2\xff\xfe" + NOTE + END),
    "signatures on two tracks": midi_bytes(b"\x0a\xff\x58\4\3\3\x18\x08" + END, SONG, SONG),
    "times that look like changes of program": midi_bytes(
        FOUR_FOUR
        + program(0, 7)
        + (on(0x2000, 60) + b"\0\xff\1\2\xc0\5" + off(0x2701, 60)) * 9
        + END
    ),
    "tempos that look like long times": midi_bytes(
        FOUR_FOUR
        + b"\0\xff\1\1\xf0"
        + (b"\0\xff\x51\3\x07\xa1\xf0" + on(0x80, 60) + off(9, 60)) * 99
        + END
    ),
    "one tick a beat": midi_bytes(SONG, division=1),
    "the finest division": midi_bytes(SONG, division=0x7FFF),
}

# Valid files that symusic and miditoolkit would read differently.
UNUSUAL = {
    "two channels in a track": midi_bytes(
        FOUR_FOUR + on(0, 60, 3) + on(0, 50, 1) + off(9, 60, 3) + off(9, 50, 1) + END
    ),
    "two programs in a track": midi_bytes(
        FOUR_FOUR + program(0, 7) + NOTE + program(0, 5) + NOTE + END
    ),
    "a program change under a note": midi_bytes(
        FOUR_FOUR + on(0, 60) + program(5, 7) + on(0, 72) + off(9, 60) + off(9, 72) + END
    ),
    "a program change under the last note": midi_bytes(
        FOUR_FOUR + NOTE + on(0, 60) + program(5, 7) + off(9, 60) + END
    ),
    "ticks beyond 32 bits": midi_bytes(
        FOUR_FOUR + b"".join(on(FAR, 60) + off(FAR, 60) for _ in range(5)) + END
    ),
    "a program name": midi_bytes(FOUR_FOUR + b"\x09\xff\x08\1x" + NOTE + END),
    "no tracks with notes": midi_bytes(FOUR_FOUR + END),
    "text": b"some text\n" * 50,
}


@pytest.mark.parametrize("content", PLAIN.values(), ids=PLAIN)
def test_symusic_reads_plain_files(written, content, by_symusic_alone, monkeypatch):
    path = written(content)
    found = read_song(path, "symusic").notes
    monkeypatch.undo()
    assert values(found) == values(read_song(path).notes)
    assert {getattr(found, name).dtype for name in ("start", "pitch", "track")} == {found.end.dtype}


@pytest.mark.parametrize("content", UNUSUAL.values(), ids=UNUSUAL)
def test_readers_agree_on_unusual_files(written, content):
    assert_same(written(content))


def test_readers_agree_on_malformed_files(tmp_path, written):
    for content, _, _ in MALFORMED.values():
        assert_same(written(content))
    whole = midi_bytes(SONG, NOTE + END)
    for size in range(len(whole)):
        published, _ = assert_same(written(whole[:size]))
        assert published in (UNREADABLE, NO_USABLE_NOTES)
    assert assert_same(tmp_path / "missing.mid") == [UNREADABLE, UNREADABLE]


@pytest.mark.parametrize("name", ["é ♪.mid", b"\xff\xfe.mid".decode(errors="surrogateescape")])
def test_symusic_accepts_file_names_in_any_encoding(tmp_path, name, by_symusic_alone):
    assert len(read_song(write_midi(tmp_path / name), "symusic")) == 8


def test_readers_agree_on_music(demo_dir, demo):
    files = [demo_dir / song["path"] for song in demo["songs"][::4]]
    for path in (*files, *sorted((GOLDEN / "midi").glob("*.mid"))):
        assert_same(path)


@pytest.mark.skipif(not (SHARED / "data").is_dir(), reason=f"there is no {SHARED / 'data'}")
def test_readers_agree_on_real_files(written):
    """Some small files of each archive (all files: benchmarks/README.md)."""
    for archive in ARCHIVES:
        members = midi_members(SHARED / f"data/{archive}.tar.gz")
        contents = [content for content in members if len(content) <= LARGEST]
        for content in random.Random(0).sample(contents, min(FILES_PER_ARCHIVE, len(contents))):
            assert_same(written(content))


def midi_members(path):
    with tarfile.open(path, "r|gz") as archive:
        for member in archive:
            if member.name.lower().endswith((".mid", ".midi")):
                yield archive.extractfile(member).read()


def test_readers_give_the_same_corpus(tmp_path):
    folder = tmp_path / "midi"
    folder.mkdir()
    for index, content in enumerate([*PLAIN.values(), *UNUSUAL.values()]):
        (folder / f"{index:02}.mid").write_bytes(content)
    for reader in READERS:
        place = ("--dataset_dir", folder, "--output_dir", tmp_path / reader)
        words = ("--midi_reader", reader, "--dataset", "x", *place, "--num_workers", 1)
        run_here_well(prepare_pretrain.main, *words)
    for part in ("x.npy", "x.offsets.npy"):
        made = [(tmp_path / reader / part).read_bytes() for reader in READERS]
        assert made[0] == made[1]
    texts = [(tmp_path / reader / "x.json").read_text() for reader in READERS]
    assert texts[1].replace('"inputs": "symusic ', '"inputs": "') == texts[0]
    assert texts[1] != texts[0]


def test_symusic_version_is_the_same_everywhere():
    for name in ("README.md", "requirements-dev.txt"):
        assert SYMUSIC in (REPOSITORY / name).read_text(), name


def test_read_song_names_a_reader_that_is_not_installed(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "symusic", None)
    words = ("--midi_reader", "symusic", "--output_dir", tmp_path)
    done = run_here(prepare_pretrain.main, *words)
    assert done.returncode == 1
    assert done.stderr == f"error: symusic is not installed: pip install {SYMUSIC}\n"
