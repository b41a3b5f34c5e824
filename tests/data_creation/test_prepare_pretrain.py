"""From folders of MIDI to corpora, through the command line: sorted, counted, interrupted."""

import json
import os
import pickle
import signal
import subprocess
import sys
from functools import partial

import numpy as np
import pytest

from data_creation import prepare_pretrain
from data_creation.corpora import find_files
from m2bert.base.errors import UserError
from m2bert.pretraining.corpus import PAPERS_CORPORA, open_corpus
from tests.helpers.commands import call, contents, run_here, run_here_well, wait_until
from tests.helpers.midi_files import SCALE, read_cp_notes, write_midi
from tests.helpers.scores import KERN, WALTZ, mxl
from tests.helpers.shared import REPOSITORY

MODULE = ("-m", "data_creation.prepare_pretrain")
prepare = partial(run_here, prepare_pretrain.main)
prepare_well = partial(run_here_well, prepare_pretrain.main)


def write_scale(path, transposition=0):
    return write_midi(path, [(start, end, pitch + transposition) for start, end, pitch in SCALE])


def test_prepare_pretrain_gives_the_same_corpus_with_any_number_of_workers(tmp_path):
    folder = tmp_path / "midi"
    write_scale(folder / "b" / "good.MID", 5)
    write_scale(folder / "a good one.midi")
    write_midi(folder / "c one note.mid", [(0, 480, 60)])
    write_midi(folder / "d waltz.mid", signatures=[(3, 4)])
    write_midi(folder / "e silent.mid", [])
    (folder / "f text.mid").write_text("this is no MIDI file")
    (folder / "g empty.mid").touch()
    (folder / "h truncated.mid").write_bytes((folder / "d waltz.mid").read_bytes()[:60])
    (folder / "notes.txt").write_text("not looked at")
    arguments = ("--dataset", "mine", "--dataset_dir", folder, "--output_dir")
    prepare_well(*arguments, tmp_path / "alone", "--num_workers", 1)
    done = prepare_well(*arguments, tmp_path / "three", "--num_workers", 3)
    assert contents(tmp_path / "alone") == contents(tmp_path / "three")
    corpus = open_corpus(tmp_path / "three", "mine")
    assert corpus.song_names() == ["a good one.midi", "b/good.MID", "c one note.mid"]
    for index, file in enumerate(corpus.song_names()):
        expected = read_cp_notes(folder / file)
        np.testing.assert_array_equal(corpus.song(index), expected)
    facts = json.loads((tmp_path / "three/mine.json").read_text())
    assert [(entry["file"][0], entry["reason"]) for entry in facts["skipped"]] == [
        ("d", "3/4"),
        ("e", "no usable notes"),
        ("f", "unreadable"),
        ("g", "unreadable"),
        ("h", "3/4"),
    ]
    assert "3 songs, 17 notes; 8 files" in done
    assert "skipped 5 files: 3/4 2, unreadable 2, no usable notes 1" in done


def test_prepare_pretrain_keeps_a_complete_corpus_until_overwrite(tmp_path):
    write_scale(tmp_path / "midi" / "one.mid")
    arguments = ("--dataset", "mine", "--dataset_dir", tmp_path / "midi")
    arguments += ("--output_dir", tmp_path / "out", "--num_workers", 1)
    prepare_well(*arguments)
    first = contents(tmp_path / "out")
    assert "complete" in prepare_well(*arguments)
    (tmp_path / "out" / "mine.npy").write_bytes(first["mine.npy"][:-1])
    assert "mine.npy was not written by this program" in prepare(*arguments).stderr
    (tmp_path / "out" / "mine.npy").unlink()
    prepare_well(*arguments)
    assert contents(tmp_path / "out") == first
    write_scale(tmp_path / "midi" / "two.mid")

    again = prepare(*arguments)
    assert again.returncode == 1
    assert again.stdout == ""  # it is not called complete
    assert "was made from other files" in again.stderr
    assert "--overwrite rebuilds it" in again.stderr
    assert contents(tmp_path / "out") == first

    prepare_well(*arguments, "--overwrite")
    assert len(open_corpus(tmp_path / "out", "mine")) == 2


def test_prepare_pretrain_reads_scores_and_any_time_signature(tmp_path):
    folder = tmp_path / "music"
    write_scale(folder / "a.mid")
    write_midi(folder / "b waltz.mid", signatures=[(3, 4)])
    (folder / "c waltz.mxl").write_bytes(mxl(WALTZ))
    (folder / "d waltz.krn").write_bytes(KERN)
    (folder / "e.xml").write_text("<project/>")
    arguments = ("--dataset", "x", "--dataset_dir", folder, "--output_dir", tmp_path / "out")
    done = prepare_well(*arguments)
    assert "skipped 4 files: 3/4 3, unreadable 1" in done
    other = prepare(*arguments, "--any_time_signature")
    assert other.returncode == 1
    assert "has pieces in 4/4 alone: --overwrite rebuilds it" in other.stderr
    prepare_well(*arguments, "--any_time_signature", "--overwrite")
    corpus = open_corpus(tmp_path / "out", "x")
    assert corpus.song_names() == ["a.mid", "b waltz.mid", "c waltz.mxl", "d waltz.krn"]
    voice = [note for note in corpus.song(2).tolist() if note[2] > 60 - 22]
    assert [note for note in corpus.song(3).tolist() if note[2] > 60 - 22] == voice
    assert "complete in" in prepare_well(*arguments, "--any_time_signature")
    assert "has pieces in any time signature" in prepare(*arguments).stderr


def test_prepare_pretrain_names_folders_without_usable_files(tmp_path):
    folder, output = tmp_path / "midi", tmp_path / "out"

    def rejection():
        done = prepare("--dataset", "x", "--dataset_dir", folder, "--output_dir", output)
        assert (done.returncode, done.stderr.count("\n")) == (1, 1)
        return done.stderr, done.stdout

    assert str(folder) in rejection()[0]
    folder.mkdir()
    assert str(folder) in rejection()[0]
    for index in range(12):
        (folder / f"{index:02}.mid").write_text("text")
    error, printed = rejection()
    assert "none of the 12 files" in error
    assert "unreadable 12" in printed
    assert "09.mid: unreadable" in printed
    assert contents(output) == {}


def test_prepare_pretrain_names_an_output_that_cannot_be_written(tmp_path):
    write_midi(tmp_path / "-song.mid", SCALE * 60)
    command = [sys.executable, *MODULE, "--dataset", "x", "--dataset_dir", tmp_path, "--output_dir"]
    command = " ".join(map(str, [*command, tmp_path / "out"]))
    full = call("bash", "-c", f"ulimit -f 1; {command}")  # as a full disk
    sentence = f"error: {tmp_path}/out/x.npy could not be written: File too large\n"
    assert (full.returncode, full.stderr) == (1, sentence)


@pytest.mark.parametrize(
    "flags", [["--dataset", "../up"], ["--dataset", "asap"], ["--num_workers", "many"]]
)
def test_prepare_pretrain_rejects_wrong_flags(flags):
    done = prepare(*flags)
    assert done.returncode == 2
    assert flags[1] in done.stderr


# The published layouts


def write_published_layouts(folder, lmd_dir):
    write_scale(folder / "pop909_processed/train/001.mid", 1)
    write_scale(folder / "pop909_processed/test/002.mid", 2)
    write_scale(folder / "pop909_processed/train_3beat/003.mid", 3)
    write_scale(folder / "joann8512-Pianist8-ab9f541/valid/Hancock/Hancock_Blue.mid", 4)
    write_scale(folder / "Pop1K7/midi_transcribed/src_001/0.midi", 5)
    write_scale(folder / "Pop1K7/midi_analyzed/src_001/0.mid", 6)
    write_scale(folder / "asap-dataset/Bach/Fugue/bwv_846/midi_score.mid", 7)
    write_scale(folder / "asap-dataset/Bach/Fugue/bwv_848/midi_score.mid", 8)
    write_scale(folder / "EMOPIA_1.0/train/Q1_a.mid", 9)
    write_scale(lmd_dir / "A/A/A/TRAAAGR128F425B14B/1.mid", 10)
    write_scale(lmd_dir / "A/A/A/TRAAAGR128F425B14B/2.mid", 11)
    listed = ["Bach/Fugue/bwv_848/midi_score.mid", "Bach/Fugue/gone/midi_score.mid"]
    (folder / "ASAP_song.pkl").write_bytes(pickle.dumps(listed, protocol=2))


FILES = {
    "pop909": ["test/002.mid", "train/001.mid"],
    "pianist8": ["valid/Hancock/Hancock_Blue.mid"],
    "pop1k7": ["midi_transcribed/src_001/0.midi"],
    "ASAP": ["Bach/Fugue/bwv_848/midi_score.mid"],
    "emopia": ["train/Q1_a.mid"],
    "lmd": ["A/A/A/TRAAAGR128F425B14B/1.mid", "A/A/A/TRAAAGR128F425B14B/2.mid"],
}


run_script = partial(call, "bash", REPOSITORY / "scripts/prepare_pretrain_data.sh")


def test_prepare_pretrain_script_makes_all_corpora(tmp_path):
    write_published_layouts(tmp_path / "sets", tmp_path / "lmd")
    song = tmp_path / "sets/openscore_lieder/Composer/Set/Song/lc1.mxl"
    song.parent.mkdir(parents=True)
    song.write_bytes(mxl(WALTZ))
    flags = ("--dataset", *FILES, "openscore_lieder", "--any_time_signature", "--num_workers", 1)
    done = run_script("sets", "lmd", "corpora", *flags, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert FILES.keys() == PAPERS_CORPORA
    for name, files in FILES.items():
        assert open_corpus(tmp_path / "corpora", name).song_names() == files
    names = open_corpus(tmp_path / "corpora", "openscore_lieder").song_names()
    assert names == ["Composer/Set/Song/lc1.mxl"]
    found = prepare_pretrain.default_corpora(tmp_path / "sets")
    assert found == [*FILES, "openscore_lieder"]
    asap = json.loads((tmp_path / "corpora/ASAP.json").read_text())
    assert asap["skipped"][0]["file"] == "Bach/Fugue/gone/midi_score.mid"


def test_prepare_pretrain_names_missing_inputs_and_makes_the_other_corpora(tmp_path):
    write_published_layouts(tmp_path / "sets", tmp_path / "elsewhere")
    (tmp_path / "sets/ASAP_song.pkl").unlink()
    places = ("--dataset_dir", tmp_path / "sets", "--lmd_dir", tmp_path / "lmd")
    output = tmp_path / "out"
    done = prepare("--dataset", "ASAP", "emopia", "lmd", *places, "--output_dir", output)
    assert done.returncode == 1
    assert f"error: lmd: there is no folder {tmp_path}/lmd" in done.stderr
    assert "error: ASAP: there is no list of its files, " in done.stderr
    assert "failed: ASAP, lmd" in done.stderr
    assert open_corpus(output, "emopia").song_names() == FILES["emopia"]


@pytest.mark.parametrize("listed", ["/etc/passwd", "a/../../b.mid", "", 7])
def test_find_files_rejects_a_list_that_leads_out_of_its_folder(tmp_path, listed):
    (tmp_path / "asap-dataset").mkdir()
    (tmp_path / "ASAP_song.pkl").write_bytes(pickle.dumps(["fine.mid", listed], protocol=2))
    with pytest.raises(UserError, match=r"ASAP_song\.pkl"):
        find_files("ASAP", tmp_path)


# Interruptions


@pytest.mark.parametrize("send", [signal.SIGKILL, signal.SIGINT])
def test_prepare_pretrain_keeps_complete_corpora_when_killed(tmp_path, send):
    write_scale(tmp_path / "EMOPIA_1.0/train/Q1_a.mid")
    scale = write_scale(tmp_path / "pop909_processed/train/0.mid").read_bytes()
    for index in range(1, 3000):
        (tmp_path / f"pop909_processed/train/{index}.mid").write_bytes(scale)
    output = tmp_path / "out"
    arguments = ("--dataset", "emopia", "pop909", "--dataset_dir", tmp_path, "--output_dir", output)
    process = subprocess.Popen(
        [sys.executable, *MODULE, *map(str, arguments), "--num_workers", "1"],
        cwd=REPOSITORY,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    arrays = ".m2bert_tmp_*/pop909.npy"
    wait_until(lambda: any(path.stat().st_size for path in output.glob(arrays)))
    os.killpg(process.pid, send)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == (130 if send == signal.SIGINT else -send)
    assert "Traceback" not in errors
    assert len(open_corpus(output, "emopia")) == 1
    assert not (output / "pop909.npy").exists()
    for path in (tmp_path / "pop909_processed/train").glob("?*[0-9].mid"):
        path.unlink()
    again = prepare_well(*arguments)
    assert "emopia: complete" in again
    assert len(open_corpus(output, "pop909")) == 10
    assert not list(output.glob(".m2bert_tmp_*"))


def test_prepare_pretrain_accepts_own_files_without_a_time_signature(tmp_path):
    """The paper's corpora need a 4/4 in the file; 4/4 is MIDI's default."""
    for place in ("midi/a.KAR", "midi/b.smf", "midi/c.mid", "paper/pop909_processed/train/c.mid"):
        write_midi(tmp_path / place, signatures=())
    write_midi(tmp_path / "midi/d.mid", signatures=((3, 4),))
    out = ("--output_dir", tmp_path / "out", "--num_workers", 1)
    done = prepare("--dataset", "own", "--dataset_dir", tmp_path / "midi", *out)
    assert "3 songs" in done.stdout, done.stdout + done.stderr
    assert open_corpus(tmp_path / "out", "own").song_names() == ["a.KAR", "b.smf", "c.mid"]
    done = prepare("--dataset", "pop909", "--dataset_dir", tmp_path / "paper", *out)
    assert done.returncode == 1
    assert "none of the 1 files in" in done.stderr
