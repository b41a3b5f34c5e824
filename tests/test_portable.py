"""The commands that a musician gives work without what only Unix has."""

import os
from pathlib import Path

import numpy as np
import pytest

from data_creation.benchmark.sets import DATA_SETS
from m2bert.pretraining.corpus import open_corpus
from tests.helpers.benchmark_files import write_data_set
from tests.helpers.commands import run_well
from tests.helpers.midi_files import SCALE, write_midi
from tests.helpers.shared import REPOSITORY

AS_ON_WINDOWS = REPOSITORY / "tests/helpers/as_on_windows"


def run_as_on_windows(module: str, *words: Path | str | int) -> str:
    """Run a command where Linux behaves as Windows does; returns what it prints."""
    environment = os.environ | {"PYTHONPATH": f"{AS_ON_WINDOWS}{os.pathsep}{REPOSITORY}"}
    return run_well("-m", module, *words, env=environment)


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="Windows is imitated on Linux")
def test_from_midi_files_to_labels_and_vectors_as_on_windows(tmp_path):
    songs, corpora, tasks = tmp_path / "songs", tmp_path / "corpora", tmp_path / "tasks"
    pretrained, tuned = tmp_path / "pretrained", tmp_path / "tuned"
    for index in range(12):
        write_midi(songs / f"{index}.mid", SCALE[: 3 + index % 6])
    making = ["--dataset", "mine", "--dataset_dir", songs, "--output_dir", corpora]
    run_as_on_windows("data_creation.prepare_pretrain", *making, "--num_workers", 1)
    assert len(open_corpus(corpora, "mine")) == 12

    training = ["--data_root", corpora, "--datasets", "mine", "--save_dir", pretrained, "--cpu"]
    training += ["--preset", "tiny", "--batch_size", 4, "--max_seq_len", 64, "--epochs", 1]
    run_as_on_windows("m2bert.pretrain", *training, "--max_steps", 1)
    assert "after step 1\n" in run_as_on_windows("m2bert.pretrain", *training, "--num_workers", 0)
    assert (pretrained / "log").read_text().startswith("Epoch 1:")

    write_data_set(tmp_path / "smc", DATA_SETS["pop909"])
    making = ["--dataset", "pop909", "--smc_dir", tmp_path / "smc", "--output_dir", tasks]
    run_as_on_windows("data_creation.prepare_smc", *making)
    tuning = ["--ckpt", pretrained, "--data_root", tasks, "--task", "melody", "--seed", 1, "--cpu"]
    tuning += ["--epochs", 1, "--save_ckpt", "--save_root", tuned]
    assert "1 of 1 runs are finished" in run_as_on_windows("m2bert.finetune", *tuning)

    places = ["--model", tuned, "--out", tmp_path / "annotated"]
    run_as_on_windows("m2bert.annotate", songs / "5.mid", *places, "--cpu")
    assert "melody_probability" in (tmp_path / "annotated/5.csv").read_text(encoding="utf-8-sig")

    vectors = tmp_path / "vectors.npz"
    embedding = ["--ckpt", pretrained, "--out", vectors, "--num_workers", 1, "--cpu"]
    run_as_on_windows("m2bert.embed", songs, *embedding)
    assert len(np.load(vectors)["vectors"]) == 12
