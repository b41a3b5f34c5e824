"""One report on how this code works on a GPU (scripts/check_gpu.sh).

Each part is a command of its own with a limit of time. What it prints is kept in a log, so a part
that fails, hangs or is killed costs no other part.
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
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.made_up_corpus import write_corpus
from m2bert.base.devices import choose_device
from m2bert.base.errors import UserError, run_command, show_lines_at_once
from m2bert.base.files import write_text
from m2bert.notes.cp import ORDINARY_SIZES
from m2bert.tasks import TASKS

SONGS, SONG_NOTES, SEGMENTS = 300, 3000, 48
MOST_SECONDS = 570
"""The last part is stopped when the command has taken so long."""


@dataclass
class Part:
    """What came of a part: whether all is well (None: it was not done), a line on it, figures."""

    name: str
    is_well: bool | None = None
    line: str = ""
    seconds: float = 0.0
    figures: Any = None


@dataclass
class Check:
    """The command's folder and sizes, and the parts that are done."""

    out: Path
    work: Path
    dry_run: bool
    cpu: list[str]
    parts: list[Part] = field(default_factory=list)
    begun: float = field(default_factory=time.monotonic)

    @property
    def preset(self) -> str:
        return "tiny" if self.dry_run else "base"

    def start(self, name: str, *words: object) -> subprocess.Popen:
        """Start `python -m WORDS`; its output is added to a log."""
        with (self.out / f"{name}.log").open("a") as log:
            line = [sys.executable, "-m", *map(str, words)]
            return subprocess.Popen(line, stdout=log, stderr=log, start_new_session=True)

    def run(self, name: str, seconds: float, *words: object) -> int | None:
        """Run a command; returns its exit status, None if it was killed after so many seconds."""
        process = self.start(name, *words)
        try:
            return process.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return None

    def log(self, name: str) -> str:
        path = self.out / f"{name}.log"
        return path.read_text(errors="replace") if path.exists() else ""


def main() -> int:
    show_lines_at_once()
    parser = argparse.ArgumentParser(prog="scripts/check_gpu.sh")
    parser.add_argument("out", type=Path, help="folder of the report")
    parser.add_argument("--dry_run", action="store_true", help="tiny, on a CPU if there is no GPU")
    args = parser.parse_args()
    device = choose_device(cpu=False)
    if device.type == "cpu" and not args.dry_run:
        raise UserError(
            "torch sees no GPU (look at nvidia-smi and CUDA_VISIBLE_DEVICES, and whether torch is "
            "a build for CUDA); --dry_run tries the script on the CPU"
        )
    args.out.mkdir(parents=True, exist_ok=True)
    for log in args.out.glob("*.log"):
        log.unlink()
    with tempfile.TemporaryDirectory() as work:
        cpu = ["--cpu"] if device.type == "cpu" else []
        check = Check(args.out, Path(work), args.dry_run, cpu)
        for name, do in PARTS.items():
            print(f"== {name} ...")
            begin, part = time.monotonic(), Part(name)
            check.parts.append(part)
            try:
                do(check, part)
            except Exception as error:  # whatever it is, the other parts are done
                part.is_well, part.line = False, f"{type(error).__name__}: {error}"
            part.seconds = round(time.monotonic() - begin, 1)
            print(f"   {word(part)} ({part.seconds:.0f} s): {part.line}")
            write_report(check)
    print(f"the report, to be pasted into an issue: {args.out / 'gpu_report.md'}")
    return 0 if all(part.is_well is not False for part in check.parts) else 1


# Parts ---------------------------------------------------------------------------------------


def machine(check: Check, part: Part) -> None:
    names = ("torch", "transformers", "numpy")
    part.figures = {"python": sys.version.split()[0]} | {name: version(name) for name in names}
    if not check.cpu:
        properties = torch.cuda.get_device_properties(0)
        part.figures |= {
            "gpu": properties.name,
            "memory_gb": round(properties.total_memory / 1e9, 1),
            "gpus": torch.cuda.device_count(),
            "cuda": torch.version.cuda,
            "cudnn": torch.backends.cudnn.version(),
            "bf16": torch.cuda.is_bf16_supported(including_emulation=False),
        }
    part.is_well = True
    part.line = ", ".join(f"{name} {value}" for name, value in part.figures.items())


def tests(check: Check, part: Part) -> None:
    if find_spec("pytest") is None:
        part.line = "pytest is not installed"
        return
    status = check.run("tests", 100, "pytest", "-q", "-m", "cuda", "tests/test_cuda.py")
    part.is_well, part.line = status == 0, last_line(check.log("tests"))


def kernels(check: Check, part: Part) -> None:
    file = check.work / "kernels.json"
    check.run("kernels", 80, "benchmarks.gpu_kernels", "--out", file, *check.cpu)
    part.figures = json.loads(file.read_text())
    wrong = [answer["question"] for answer in part.figures if answer["is_well"] is False]
    part.is_well = not wrong
    part.line = "; ".join(wrong) or f"{len(part.figures)} questions answered"


def steps(check: Check, part: Part) -> None:
    file = check.work / "steps.json"
    sizes = [2] if check.dry_run else [12, 24, 48]
    left = max(60.0, MOST_SECONDS - (time.monotonic() - check.begun))
    words = ["--preset", check.preset, "--steps", 1 if check.dry_run else 20, "--out", file]
    status = check.run(
        "steps", left, "benchmarks.gpu_step", *words, *check.cpu, "--batch_sizes", *sizes
    )
    part.figures = json.loads(file.read_text())
    rows = part.figures["rows"]
    part.is_well = status in (0, None) and bool(rows)
    over = {None: f"; stopped after {left:.0f} s", 0: ""}.get(
        status, f"; {last_line(check.log('steps'))}"
    )
    ours = [row for row in rows if "original" not in row["step"]]
    best = max(ours, key=lambda row: row["notes_per_second"], default=None)
    if best:
        size, speed = best["batch_size"], best["notes_per_second"]
        part.line = f"fastest: {best['step']} at {size} segments, {speed:,.0f} notes/s"
    part.line += over


def pretraining(check: Check, part: Part) -> None:
    """Kill it, let it go on, interrupt it, and let it end after a few more steps."""
    write_corpus(check.work, "made_up", np.full(30 if check.dry_run else SONGS, SONG_NOTES))
    folder, killed_after, stopped_after = check.work / "pretrain", 45, 60
    words = ["m2bert.pretrain", "--save_dir", folder, "--data_root", check.work, "--datasets"]
    words += ["made_up", "--preset", check.preset, "--log_steps", 1 if check.dry_run else 20]
    words += ["--save_minutes", 0.1, "--epochs", 20, *check.cpu]
    if check.dry_run:
        words += ["--max_seq_len", 64, "--batch_size", 2, "--num_workers", 0, "--save_minutes", 0]
        killed_after = stopped_after = 2
    state = folder / "state.safetensors"
    first = check.start("pretraining", *words)
    wait_until(state.exists, first, 90)
    time.sleep(killed_after)
    first.kill()
    first.wait()
    again = check.start("pretraining", *words)
    wait_until(lambda: "Continuing" in check.log("pretraining"), again, 60)
    time.sleep(stopped_after)
    again.terminate()
    status = again.wait(60)
    lines = [json.loads(text) for text in (folder / "metrics.jsonl").read_text().splitlines()]
    logged = [line for line in lines if "notes_per_second" in line]
    part.figures = logged[:: max(1, len(logged) // 50)]
    ended = check.run("pretraining", 60, *words, "--max_steps", logged[-1]["step"] + 20)
    part.is_well = status == 143 and ended == 0 and logged[-1]["loss"] < logged[0]["loss"]
    speeds = sorted(line["notes_per_second"] for line in logged)
    part.line = f"killed, resumed, stopped (status {status}), ended (status {ended}); loss "
    part.line += f"{logged[0]['loss']:.3f} -> {logged[-1]['loss']:.3f} at step "
    part.line += f"{logged[-1]['step']}; {speeds[len(speeds) // 2]:,.0f} notes/s"


def finetuning(check: Check, part: Part) -> None:
    """A task that can be learnt: which of four ranges of pitch a note lies in."""
    task, length = TASKS["velocity"], 64 if check.dry_run else 1024
    for number, of in enumerate(task.parts):
        random = np.random.default_rng(number)
        notes = random.integers(0, ORDINARY_SIZES, (SEGMENTS, length, 4), np.uint8)
        notes[..., 0] = np.arange(length) % 12 > 0
        for file, array in zip(task.file_names(of), (notes, 1 + notes[..., 2] // 22), strict=True):
            np.save(check.work / file, array)
    words = ["--task", "velocity", "--data_root", check.work, "--save_root", check.work / "tuned"]
    words += ["--seed", 1, "--epochs", 3, "--lr", 1e-4]
    if (check.work / "pretrain/model").exists():
        words += ["--ckpt", check.work / "pretrain"]
    else:  # pre-training has failed
        words += ["--nopretrain", "--preset", check.preset]
    status = check.run("finetuning", 90, "m2bert.finetune", *words, *check.cpu)
    result = json.loads((check.work / "tuned/seed_1/velocity/result.json").read_text())
    names = ("test_score", "seconds", "notes_per_second", "kernels", "precision", "device")
    part.figures = {name: result[name] for name in names}
    majority = result["commonest_class"]["test_score"]
    part.is_well = status == 0 and (check.dry_run or result["test_score"] > majority)
    part.line = f"test {result['test_score']:.3f} (majority class {majority:.3f}), "
    part.line += f"{result['notes_per_second']:,.0f} notes/s"


PARTS: dict[str, Callable[[Check, Part], None]] = {
    "machine": machine,
    "tests": tests,
    "kernels": kernels,
    "pretraining": pretraining,
    "finetuning": finetuning,
    "steps": steps,
}


def wait_until(is_true: Callable[[], bool], process: subprocess.Popen, seconds: float) -> None:
    """Wait for something that a process does; `RuntimeError` if it does not."""
    end = time.monotonic() + seconds
    while not is_true():
        if process.poll() is not None or time.monotonic() > end:
            process.kill()
            raise RuntimeError("it ended, or took too long to begin: its log says more")
        time.sleep(0.1)


# The report ----------------------------------------------------------------------------------


def write_report(check: Check) -> None:
    """Write what is known so far."""
    records = json.dumps([asdict(part) for part in check.parts], indent=1)
    write_text(check.out / "gpu_report.json", records + "\n")
    lines = ["# GPU report", ""]
    if check.dry_run:
        lines += ["**A dry run: it says nothing about a GPU.**", ""]
    lines += ["| part | | seconds | |", "|---|---|---|---|"]
    lines += [f"| {p.name} | {word(p)} | {p.seconds:.0f} | {p.line} |" for p in check.parts]
    for part in check.parts:
        if part.name == "kernels" and part.figures:
            lines += ["", *(f"- {a['question']} {a['answer']}" for a in part.figures)]
        if part.name == "steps" and part.figures:
            lines += ["", "| segments | form | ms | host ms | notes/s | GB |"]
            lines += ["|---|---|---|---|---|---|", *map(row_of, part.figures["rows"])]
        if part.is_well is False:
            end = check.log(part.name).splitlines()[-15:]
            lines += ["", f"The end of {part.name}.log:", "", "```", *end, "```"]
    write_text(check.out / "gpu_report.md", "\n".join(lines) + "\n")


def row_of(row: dict) -> str:
    cells = (row["batch_size"], row["step"], f"{1000 * row['seconds']:.1f}")
    cells += (f"{1000 * row['host_seconds']:.1f}", f"{row['notes_per_second']:,.0f}")
    return "| " + " | ".join(map(str, (*cells, f"{row['device_gigabytes']:.1f}"))) + " |"


def word(part: Part) -> str:
    return {True: "ok", False: "**failed**", None: "not done"}[part.is_well]


def last_line(log: str) -> str:
    return next(iter(log.strip().splitlines()[::-1]), "it printed nothing")


if __name__ == "__main__":
    run_command(main)
