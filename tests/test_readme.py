"""The README's examples of a task of one's own and of its model, as they stand there."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from m2bert.result_files import RESULT_FILE, folder_of_run, read_result

REPOSITORY = Path(__file__).parents[1]


def test_a_task_of_ones_own_is_a_row_and_two_arrays_a_part(tmp_path):
    text = (REPOSITORY / "README.md").read_text()
    section, models = text.split("## A task of your own")[1].split("## Model folders")
    row, make_data, train = re.findall(r"```(?:python|bash)\n(.*?)```", section, re.DOTALL)[:3]
    (use,) = re.findall(r"```python\n(.*?)```", models, re.DOTALL)

    shutil.copytree(REPOSITORY / "m2bert", tmp_path / "m2bert")
    tasks = tmp_path / "m2bert/tasks.py"
    rows, end = tasks.read_text().split("\n)\n\nTASKS = ")
    tasks.write_text(f"{rows}\n{row.rstrip()}\n)\n\nTASKS = {end}")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = os.environ | {"PYTHONPATH": str(tmp_path), "PATH": path}

    def run(*words: str) -> str:
        done = subprocess.run(
            words, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    run("python", "-c", make_data)
    output = run("bash", "-euc", train)
    result = read_result(folder_of_run(tmp_path / "runs/toy", "high", 2021, None) / RESULT_FILE)
    assert result["test_score"] > 0.9 > result["commonest_class"]["test_score"]
    (line,) = [line for line in output.splitlines() if line.startswith("HN ")]
    assert line.split()[:3] == ["HN", "high", "accuracy"]
    assert float(line.split()[3]) == round(result["test_score"], 3)

    shapes = run("python", "-c", use + "print(*labels.shape, *states.shape)")
    assert shapes.split() == ["1", "64", "1", "64", "128"]
