"""The README's examples, as they stand there."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from data_creation.demo.write import FEWEST_SONGS, write_demo
from m2bert.finetuning.result import RESULT_FILE, folder_of_run, read_result
from m2bert.model.config import preset
from m2bert.model.encoder import M2BertForPreTraining
from tests.helpers.midi_files import SCALE, write_midi
from tests.helpers.shared import REPOSITORY


def examples(title: str) -> list[str]:
    """The blocks of code in a section, in order."""
    section = (REPOSITORY / "README.md").read_text().split(f"\n## {title}\n")[1].split("\n## ")[0]
    return re.findall(r"```(?:python|bash)\n(.*?)```", section, re.DOTALL)


def run(folder: Path, *words: str) -> str:
    """What a command prints, run in `folder` with the modules that are there or in the
    repository."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = os.environ | {"PYTHONPATH": f"{folder}:{REPOSITORY}", "PATH": path}
    done = subprocess.run(
        words, cwd=folder, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_task_of_ones_own_is_a_row_and_two_arrays_a_part(tmp_path):
    row, make_data, train = examples("A task of your own")[:3]
    (use,) = examples("Model folders")

    shutil.copytree(REPOSITORY / "m2bert", tmp_path / "m2bert")
    tasks = tmp_path / "m2bert/tasks.py"
    rows, end = tasks.read_text().split("\n)\n\nTASKS = ")
    tasks.write_text(f"{rows}\n{row.rstrip()}\n)\n\nTASKS = {end}")

    run(tmp_path, "python", "-c", make_data)
    output = run(tmp_path, "bash", "-euc", train)
    result = read_result(folder_of_run(tmp_path / "runs/toy", "high", 2021, None) / RESULT_FILE)
    assert result["test_score"] > 0.9 > result["commonest_class"]["test_score"]
    (line,) = [line for line in output.splitlines() if line.startswith("HN ")]
    assert line.split()[:3] == ["HN", "high", "accuracy"]
    assert float(line.split()[3]) == round(result["test_score"], 3)

    write_midi(tmp_path / "song.mid", SCALE)
    labels, width = run(tmp_path, "python", "-c", use + "print(*names, *vector.shape)").rsplit(
        " ", 1
    )
    assert set(labels.split()) <= {"low", "high"}
    assert len(labels.split()) == len(SCALE)
    assert int(width) == 128


def test_nearest_neighbours_of_a_demo_song(tmp_path):
    embed, find = examples("Embeddings")
    write_demo(tmp_path / "quickstart/midi", FEWEST_SONGS)
    model = M2BertForPreTraining(preset("tiny"))
    model.save_pretrained(tmp_path / "quickstart/pretrain/model_best")
    assert f"{FEWEST_SONGS} vectors of width 128" in run(tmp_path, "bash", "-euc", embed)
    nearest = [line.split() for line in run(tmp_path, "python", "-c", find).splitlines()]
    assert nearest[0][0] == "1.000"
    assert nearest[0][1].endswith("Bethel_Demo_1.mid")
    similarities = [float(similarity) for similarity, _ in nearest]
    assert similarities == sorted(similarities, reverse=True)
    assert similarities[1] < 1
