"""Report how this code works on a GPU (scripts/check_gpu.sh).

The commands of each part run in processes of their own with time limits and a log, so a part that
fails, hangs or is killed does not affect the others.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from benchmarks.made_up_corpus import write_random_songs
from m2bert.base.devices import choose_device
from m2bert.base.errors import UserError, run_command, show_lines_at_once
from m2bert.base.files import write_text
from m2bert.notes.cp import ORDINARY_SIZES
from m2bert.tasks import TASKS

SEGMENTS = 48
TIME_LIMIT = 570
"""Seconds from the start after which the last part is stopped."""


class Check(NamedTuple):
    out: Path  # the report and logs
    work: Path  # temporary files
    dry_run: bool
    on_gpu: bool
    deadline: float

    @property
    def preset(self) -> str:
        return "tiny" if self.dry_run else "base"

    def start(self, name: str, *words: object) -> subprocess.Popen:
        """Start `python -m WORDS`; its output is appended to the log of the part."""
        command = [sys.executable, "-m", *map(str, words), *([] if self.on_gpu else ["--cpu"])]
        with self.log(name).open("a") as log:
            return subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)

    def run(self, name: str, seconds: float, *words: object) -> int | None:
        """Run a command; returns its exit status, or None if it exceeded the time limit."""
        process = self.start(name, *words)
        try:
            return process.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return None

    def log(self, name: str) -> Path:
        return self.out / f"{name}.log"

    def log_lines(self, name: str) -> list[str]:
        with suppress(FileNotFoundError):
            return self.log(name).read_text(errors="replace").strip().splitlines()
        return []


class Result(NamedTuple):
    passed: bool | None  # None: not done
    summary: str
    values: Any = None


def main() -> int:
    show_lines_at_once()
    parser = argparse.ArgumentParser(prog="scripts/check_gpu.sh")
    parser.add_argument("out", type=Path, help="folder of the report")
    parser.add_argument("--dry_run", action="store_true", help="tiny, on a CPU if there is no GPU")
    args = parser.parse_args()
    on_gpu = choose_device(cpu=False).type == "cuda"
    if not on_gpu and not args.dry_run:
        raise UserError(
            "torch finds no GPU (see nvidia-smi and CUDA_VISIBLE_DEVICES, and check that torch is "
            "built for CUDA); --dry_run runs the script on the CPU"
        )
    args.out.mkdir(parents=True, exist_ok=True)
    for log in args.out.glob("*.log"):
        log.unlink()
    with tempfile.TemporaryDirectory() as work:
        deadline = time.monotonic() + TIME_LIMIT
        passed = run_parts(PARTS, Check(args.out, Path(work), args.dry_run, on_gpu, deadline))
    print(f"report, to be pasted into an issue: {args.out / 'gpu_report.md'}")
    return 0 if passed else 1


def run_parts(parts: dict[str, Callable[[Check], Result]], check: Check) -> bool:
    """Run all parts and write the report after each; returns whether none failed."""
    done: list[dict] = []
    for name, part in parts.items():
        print(f"== {name} ...")
        begin = time.monotonic()
        try:
            result = part(check)
        except Exception as error:  # the other parts are run
            result = Result(False, f"{type(error).__name__}: {error}")
        seconds = round(time.monotonic() - begin, 1)
        done.append({"name": name, "seconds": seconds, **result._asdict()})
        print(f"   {STATUS[result.passed]} ({seconds:.0f} s): {result.summary}")
        write_report(done, check)
    return all(part["passed"] is not False for part in done)


# Parts ---------------------------------------------------------------------------------------


def machine(check: Check) -> Result:
    names = ("torch", "transformers", "numpy")
    values = {"python": sys.version.split()[0]} | {name: version(name) for name in names}
    if check.on_gpu:
        properties = torch.cuda.get_device_properties(0)
        values |= {
            "gpu": properties.name,
            "memory_gb": round(properties.total_memory / 1e9, 1),
            "gpus": torch.cuda.device_count(),
            "cuda": torch.version.cuda,
            "cudnn": torch.backends.cudnn.version(),
            "bf16": torch.cuda.is_bf16_supported(including_emulation=False),
        }
    return Result(True, ", ".join(f"{name} {value}" for name, value in values.items()), values)


def tests(check: Check) -> Result:
    if not check.on_gpu:
        return Result(None, "needs a GPU")
    status = check.run("tests", 100, "pytest", "-q", "-m", "cuda", "tests/test_cuda.py")
    return Result(status == 0, last_line(check, "tests"))


def kernels(check: Check) -> Result:
    if not check.on_gpu:
        return Result(None, "needs a GPU")
    file = check.work / "kernels.json"
    check.run("kernels", 80, "benchmarks.gpu_kernels", "--out", file)
    answers = json.loads(file.read_text())
    wrong = [answer["question"] for answer in answers if answer["passed"] is False]
    return Result(not wrong, "; ".join(wrong) or f"{len(answers)} questions answered", answers)


def pretraining(check: Check) -> Result:
    """Kill a run, resume it, and stop it."""
    write_random_songs(check.work, "made_up", songs=10 if check.dry_run else 300)
    folder, seconds = check.work / "pretrain", 1 if check.dry_run else 50
    words = ["m2bert.pretrain", "--save_dir", folder, "--data_root", check.work]
    words += ["--datasets", "made_up", "--preset", check.preset, "--epochs", 20]
    if check.dry_run:
        words += ["--max_seq_len", 64, "--batch_size", 2, "--num_workers", 0]
        words += ["--log_steps", 1, "--save_minutes", 0]
    else:
        words += ["--log_steps", 20, "--save_minutes", 0.1]
    first = check.start("pretraining", *words)
    wait_until(lambda: (folder / "state.safetensors").exists(), first, 90)
    time.sleep(seconds)
    first.kill()
    first.wait()
    steps = len(logged_steps(folder))
    second = check.start("pretraining", *words)
    wait_until(lambda: len(logged_steps(folder)) > steps, second, 60)
    time.sleep(seconds)
    second.terminate()
    status = second.wait(60)
    logged = logged_steps(folder)
    losses = [logged[i]["loss"] for i in (0, -1)]
    speed = np.median([step["notes_per_second"] for step in logged])
    summary = f"killed, resumed, stopped (status {status}); loss {losses[0]:.3f} -> "
    summary += f"{losses[1]:.3f} at step {logged[-1]['step']}; {speed:,.0f} notes/s"
    passed = status == 143 and losses[1] < losses[0]
    return Result(passed, summary, logged[:: max(1, len(logged) // 50)])


def logged_steps(folder: Path) -> list[dict]:
    with suppress(FileNotFoundError):
        text = (folder / "metrics.jsonl").read_text()
        records = map(json.loads, text[: text.rfind("\n") + 1].splitlines())
        return [record for record in records if "notes_per_second" in record]
    return []


def finetuning(check: Check) -> Result:
    """Learn in which of four ranges the pitch of a note lies."""
    task, length = TASKS["velocity"], 64 if check.dry_run else 1024
    for number, part in enumerate(task.parts):
        random = np.random.default_rng(number)
        notes = random.integers(0, ORDINARY_SIZES, (SEGMENTS, length, 4), np.uint8)
        notes[..., 0] = np.arange(length) % 12 > 0
        arrays = (notes, 1 + notes[..., 2] // 22)
        for file, array in zip(task.file_names(part), arrays, strict=True):
            np.save(check.work / file, array)
    words = ["--task", "velocity", "--data_root", check.work, "--save_root", check.work / "tuned"]
    words += ["--seed", 1, "--epochs", 1 if check.dry_run else 3, "--lr", 1e-4]
    if (check.work / "pretrain/model").exists():
        words += ["--ckpt", check.work / "pretrain"]
    else:  # pre-training has failed
        words += ["--nopretrain", "--preset", check.preset]
    status = check.run("finetuning", 90, "m2bert.finetune", *words)
    result = json.loads((check.work / "tuned/seed_1/velocity/result.json").read_text())
    summary = f"test score {result['test_score']:.3f} (a guess: .25), "
    summary += f"{result['notes_per_second']:,.0f} notes/s"
    passed = status == 0 and (check.dry_run or result["test_score"] > 0.3)
    names = ("test_score", "seconds", "notes_per_second", "precision", "device")
    return Result(passed, summary, {name: result[name] for name in names})


def steps(check: Check) -> Result:
    file, seconds = check.work / "steps.json", max(60.0, check.deadline - time.monotonic())
    words = ["--preset", check.preset, "--out", file, "--steps", 1 if check.dry_run else 20]
    words += ["--batch_sizes", *([1] if check.dry_run else [12, 24, 48])]
    status = check.run("steps", seconds, "benchmarks.gpu_step", *words)
    values = json.loads(file.read_text())
    rows = [row for row in values["rows"] if "original" not in row["step"]]
    best = max(rows, key=lambda row: row["notes_per_second"])
    summary = f"fastest: {best['step']}, {best['batch_size']} segments, "
    summary += f"{best['notes_per_second']:,.0f} notes/s"
    if status is None:
        summary += f"; stopped after {seconds:.0f} s"
    elif status:
        summary += f"; {last_line(check, 'steps')}"
    return Result(status in (0, None), summary, values)


PARTS: dict[str, Callable[[Check], Result]] = {
    "machine": machine,
    "tests": tests,
    "kernels": kernels,
    "pretraining": pretraining,
    "finetuning": finetuning,
    "steps": steps,
}


def wait_until(is_true: Callable[[], bool], process: subprocess.Popen, seconds: float) -> None:
    """Wait for an effect of a process; `RuntimeError` if it ends or takes too long."""
    end = time.monotonic() + seconds
    while not is_true():
        if process.poll() is not None or time.monotonic() > end:
            process.kill()
            raise RuntimeError("the command ended or was too slow (see its log)")
        time.sleep(0.1)


# The report ----------------------------------------------------------------------------------

STATUS = {True: "ok", False: "**failed**", None: "not done"}


def write_report(parts: list[dict], check: Check) -> None:
    write_text(check.out / "gpu_report.json", json.dumps(parts, indent=1) + "\n")
    lines = ["# GPU report", ""]
    if check.dry_run:
        lines += ["**A dry run, which shows nothing about a GPU.**", ""]
    lines += ["| part | | seconds | |", "|---|---|---|---|"]
    lines += [
        f"| {p['name']} | {STATUS[p['passed']]} | {p['seconds']:.0f} | {p['summary']} |"
        for p in parts
    ]
    for part in parts:
        if part["name"] == "kernels" and part["values"]:
            lines += ["", *(f"- {a['question']} {a['answer']}" for a in part["values"])]
        if part["name"] == "steps" and part["values"]:
            lines += ["", "| segments | form | ms | host ms | notes/s | GB |"]
            lines += ["|---|---|---|---|---|---|", *map(row_of, part["values"]["rows"])]
        if part["passed"] is False:
            end = check.log_lines(part["name"])[-15:]
            lines += ["", f"The end of {part['name']}.log:", "", "```", *end, "```"]
    write_text(check.out / "gpu_report.md", "\n".join(lines) + "\n")


def row_of(row: dict) -> str:
    cells = (row["batch_size"], row["step"], f"{1000 * row['seconds']:.1f}")
    cells += (f"{1000 * row['host_seconds']:.1f}", f"{row['notes_per_second']:,.0f}")
    return "| " + " | ".join(map(str, (*cells, f"{row['device_gigabytes']:.1f}"))) + " |"


def last_line(check: Check, name: str) -> str:
    return next(iter(check.log_lines(name)[::-1]), "it printed nothing")


if __name__ == "__main__":
    run_command(main)
