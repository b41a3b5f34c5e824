"""The report on a GPU, run on a CPU."""

import json
import time

from benchmarks import check_gpu
from tests.helpers.commands import ONE_THREAD, call


def test_check_gpu_dry_run_reports_every_part(tmp_path):
    line = ("bash", "scripts/check_gpu.sh", tmp_path, "--dry_run")
    done = call(*line, env=ONE_THREAD | {"CUDA_VISIBLE_DEVICES": ""})
    report = (tmp_path / "gpu_report.md").read_text()
    assert done.returncode == 0, done.stdout + report
    parts = {part["name"]: part for part in json.loads((tmp_path / "gpu_report.json").read_text())}
    assert list(parts) == ["machine", "tests", "kernels", "pretraining", "finetuning", "steps"]
    assert "killed, resumed, stopped (status 143)" in parts["pretraining"]["summary"]
    rows = [row["step"] for row in parts["steps"]["values"]["rows"]]
    assert rows == ["blocks", "all pairs", "the original's step"]
    assert "| pretraining | ok |" in report


def test_check_gpu_continues_after_a_failed_part(tmp_path):
    def fail(check):
        check.start("tests", "benchmarks.no_such_command").wait()
        raise ValueError("it has failed")

    parts = {"tests": fail, "kernels": lambda check: check_gpu.Result(True, "it works")}
    check = check_gpu.Check(tmp_path, tmp_path, True, False, time.monotonic())
    assert not check_gpu.run_parts(parts, check)
    report = (tmp_path / "gpu_report.md").read_text()
    assert "| tests | **failed** | 0 | ValueError: it has failed |" in report
    assert "No module named benchmarks.no_such_command" in report
    assert "| kernels | ok | 0 | it works |" in report
