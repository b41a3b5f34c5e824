"""The report on a GPU, tried on a CPU."""

import json

from tests.helpers.commands import ENVIRONMENT, call


def test_dry_run_reports_every_part(tmp_path):
    environment = ENVIRONMENT | {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    script, out = "scripts/check_gpu.sh", tmp_path / "report"
    refused = call("bash", script, out, env=environment)
    assert refused.returncode == 1
    assert "error: torch sees no GPU" in refused.stderr
    assert not out.exists()
    done = call("bash", script, out, "--dry_run", env=environment)
    assert done.returncode == 0, done.stdout + (out / "gpu_report.md").read_text()
    parts = {part["name"]: part for part in json.loads((out / "gpu_report.json").read_text())}
    assert list(parts) == ["machine", "tests", "kernels", "pretraining", "finetuning", "steps"]
    assert "killed, resumed, stopped (status 143), ended" in parts["pretraining"]["line"]
    assert [row["step"] for row in parts["steps"]["figures"]["rows"]][:2] == ["blocks", "all pairs"]
    assert "| pretraining | ok |" in (out / "gpu_report.md").read_text()


def test_a_part_that_fails_costs_no_other(tmp_path, monkeypatch, capsys):
    from benchmarks import check_gpu

    def fail(check, part):
        check.start(part.name, "benchmarks.no_such_command").wait()
        raise ValueError("it has failed")

    def work(check, part):
        part.is_well, part.line = True, "it works"

    monkeypatch.setattr(check_gpu, "PARTS", {"tests": fail, "kernels": work})
    monkeypatch.setattr("sys.argv", ["check_gpu", str(tmp_path), "--dry_run"])
    monkeypatch.setattr(check_gpu, "show_lines_at_once", lambda: None)
    assert check_gpu.main() == 1
    report = (tmp_path / "gpu_report.md").read_text()
    assert "| tests | **failed** | 0 | ValueError: it has failed |" in report
    assert "No module named benchmarks.no_such_command" in report
    assert "| kernels | ok | 0 | it works |" in report
    assert "**failed**" in capsys.readouterr().out
