"""README and docs: examples run, and links, files, commands and flags exist."""

import importlib
import importlib.util
import json
import re
import shutil
from functools import cache
from pathlib import Path

import pytest

from m2bert.finetuning.result import RESULT_FILE, folder_of_run, read_result
from m2bert.model.config import preset
from m2bert.model.encoder import M2BertForPreTraining
from tests.helpers.commands import ENVIRONMENT, call, run_here_well
from tests.helpers.midi_files import SCALE, write_midi
from tests.helpers.shared import REPOSITORY

PAGES = [
    REPOSITORY / "README.md",
    REPOSITORY / "CONTRIBUTING.md",
    *sorted((REPOSITORY / "docs").glob("*.md")),
    REPOSITORY / "benchmarks/README.md",
]
pages = pytest.mark.parametrize(
    "page", PAGES, ids=lambda page: page.relative_to(REPOSITORY).as_posix()
)

CALLED = {
    "pretrain.sh": "m2bert.pretrain",
    "pretrain_full.sh": "m2bert.pretrain",
    "scripts/finetune_modernbert_script.sh": "m2bert.finetune",
    "scripts/prepare_pretrain_data.sh": "data_creation.prepare_pretrain",
    "scripts/prepare_smc_benckmark.sh": "data_creation.prepare_smc",
    "scripts/preprocess_pop909.sh": "data_creation.build_from_sources",
    "scripts/build_smc_benchmark.sh": "data_creation.build_from_sources",
}
"""The module that gets the flags of a script."""


def read(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def examples(name: str) -> list[str]:
    """The blocks of code of a page in docs/, in order."""
    text = read(REPOSITORY / "docs" / name)
    return re.findall(r"```(?:python|bash)\n(.*?)```", text, re.DOTALL)


def commands(text: str) -> list[str]:
    """The command lines of a page: indented lines, and code between backticks."""
    text = re.sub(r"```.*?```", "", text, flags=re.DOTALL)  # blocks of code, which are run below
    return [line or span for line, span in re.findall(r"^ {4}(.*)$|`([^`]+)`", text, re.MULTILINE)]


def anchors(page: Path) -> set[str]:
    """The fragments of links to the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", read(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in headings}


@cache
def flags_of(module: str) -> set[str]:
    """The flags that the help of a command lists."""
    found = importlib.import_module(module)
    if not hasattr(found, "main"):  # a package
        found = importlib.import_module(f"{module}.__main__")
    text = run_here_well(found.main, "--help")
    return set(re.findall(r"^  (?:-\w, )?(--\w+)", text, re.MULTILINE))


def test_readme_is_short():
    assert len(read(REPOSITORY / "README.md").splitlines()) <= 150


@pages
def test_page_links_exist(page):
    for target in re.findall(r"\]\(([^)]+)\)", read(page)):
        if target.startswith("https://"):
            continue
        path, _, part = target.partition("#")
        found = page.parent / path if path else page
        assert found.exists(), target
        assert not part or part in anchors(found), target


@pages
def test_page_files_commands_and_flags_exist(page):
    folders = r"(?:m2bert|data_creation|scripts|benchmarks|tests)"
    for path in re.findall(rf"`({folders}/[\w/.]*)`", read(page)):
        assert (REPOSITORY / path).exists(), path
    for command in commands(read(page)):
        script = re.search(r"\bbash (\S+\.sh)", command)
        module = re.search(r"-m ((?:m2bert|data_creation|benchmarks)\S*)", command)
        if script:
            assert (REPOSITORY / script.group(1)).is_file(), command
        if module and module.group(1).startswith("benchmarks"):
            assert importlib.util.find_spec(module.group(1)), command
        elif module or (script and script.group(1) in CALLED):
            called = module.group(1) if module else CALLED[script.group(1)]
            arguments = command[command.index(called) if module else 0 :]
            assert set(re.findall(r"--\w+", arguments)) <= flags_of(called), command


def run(folder: Path, *words: str) -> str:
    """The output of a command in `folder`, whose modules come before those of the repository."""
    path = {"PYTHONPATH": f"{folder}:{REPOSITORY}"}
    done = call(*words, cwd=folder, env=ENVIRONMENT | path)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_own_task_example(tmp_path):
    make_data, train = examples("own_task.md")
    run(tmp_path, "python", "-c", make_data)
    (shown,) = re.findall(r"```json\n(.*?)```", read(REPOSITORY / "docs/own_task.md"), re.DOTALL)
    assert json.loads(shown) == json.loads((tmp_path / "data/toy/high.task.json").read_text())
    output = run(tmp_path, "bash", "-euc", train)
    result = read_result(folder_of_run(tmp_path / "runs/toy", "high", 2021, None) / RESULT_FILE)
    assert result["test_score"] > 0.9 > result["majority_class"]["test_score"]
    line = next(line for line in output.splitlines() if line.startswith("high notes "))
    acronym, task, metric, mean, *_ = re.split(" {2,}", line)
    assert (acronym, task, metric) == ("high notes", "high", "accuracy of labelled notes")
    assert float(mean) == round(result["test_score"], 3)


def test_models_example(tmp_path):
    write_midi(tmp_path / "song.mid", SCALE)
    (example,) = examples("models.md")
    printed = run(tmp_path, "python", "-c", example)
    names = re.findall("'(.*?)'", printed.partition("]")[0])
    assert len(names) == len(SCALE)
    assert set(names) <= {"melody", "bridge", "accompaniment"}
    assert printed.endswith("(128,)\n")


def test_annotate_example(tmp_path):
    write_midi(tmp_path / "song.mid", SCALE)
    printed = run(tmp_path, "python", "-c", "\n".join(examples("annotate.md")))
    assert "1 0.0" in printed
    assert (tmp_path / "labels/song.html").exists()


def test_embed_example(tmp_path, demo_dir):
    (example,) = examples("embed.md")
    songs = sorted(demo_dir.rglob("*/Bethel/*.mid"))
    for song in songs:
        target = tmp_path / "quickstart/midi" / song.relative_to(demo_dir)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(song, target)
    model = M2BertForPreTraining(preset("tiny"))
    model.save_pretrained(tmp_path / "quickstart/pretrain/model_best")
    output = run(tmp_path, "bash", "-euc", example)
    assert f"{len(songs)} vectors of width 128" in output
    nearest = [line.split() for line in output.splitlines() if re.match(r"-?\d\.\d{3}  ", line)]
    assert nearest[0][0] == "1.000"
    assert nearest[0][1].endswith("Bethel_Demo_1.mid")
    similarities = [float(similarity) for similarity, _ in nearest]
    assert similarities == sorted(similarities, reverse=True)
    assert similarities[1] < 1
