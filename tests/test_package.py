"""The package that pip installs."""

import os
import shutil
from pathlib import Path

import pytest
import torch

from m2bert.model.classifiers import NoteClassifier
from m2bert.tasks import TASKS
from tests.helpers.commands import run_well
from tests.helpers.midi_files import write_midi
from tests.helpers.shared import REPOSITORY
from tests.helpers.task_files import SMALL

PIP = ["-m", "pip", "--disable-pip-version-check"]


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """A folder with what a wheel of this repository installs, and nothing else."""
    folder = tmp_path_factory.mktemp("package")
    source = folder / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(REPOSITORY / name, source)
    for name in ("m2bert", "data_creation", "tests"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(REPOSITORY / name, source / name, ignore=ignored)
    run_well(*PIP, "wheel", source, "--no-deps", "--no-build-isolation", "-w", folder / "wheels")
    (wheel,) = (folder / "wheels").iterdir()
    run_well(*PIP, "install", "--no-deps", "--no-index", "--target", folder / "site", wheel)
    return folder / "site"


def test_the_wheel_holds_both_packages_and_no_tests(installed):
    names = {path.name for path in installed.iterdir() if not path.name.endswith(".dist-info")}
    assert names == {"m2bert", "data_creation", "bin"}
    for package in ("m2bert", "data_creation"):
        wanted = {
            path.relative_to(REPOSITORY)
            for path in (REPOSITORY / package).rglob("*")
            if path.is_file() and "__pycache__" not in path.parts
        }
        assert all((installed / path).is_file() for path in wanted)


def test_the_installed_command_annotates(installed, tmp_path):
    torch.manual_seed(0)
    task = TASKS["melody"]
    model = NoteClassifier(SMALL, task.classes, task=task.name)
    model.save_pretrained(tmp_path / "model", {"task": task.name})
    song = write_midi(tmp_path / "song.mid")
    words = ["annotate", song, "--model", tmp_path / "model", "--out", tmp_path / "out", "--cpu"]
    # -P: the folder that the tests run in is not searched for packages
    environment = os.environ | {"PYTHONPATH": str(installed)}
    printed = run_well("-P", installed / "bin/m2bert", *words, env=environment, cwd=tmp_path)
    assert "melody" in printed
    page = (tmp_path / "out/song.html").read_text(encoding="utf-8")
    assert "song.mid" in page
    where = run_well("-Pc", "import m2bert; print(m2bert.__file__)", env=environment)
    assert Path(where.strip()).is_relative_to(installed)
