"""The package that pip installs."""

import os
import shutil
from functools import partial
from pathlib import Path

import pytest

from m2bert import NoteClassifier
from m2bert.base.errors import UserError
from tests.helpers.commands import run_well
from tests.helpers.midi_files import write_midi
from tests.helpers.shared import REPOSITORY

PIP = ["-m", "pip", "--disable-pip-version-check"]


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """A folder with the installed wheel of this repository."""
    folder = tmp_path_factory.mktemp("package")
    source = folder / "source"
    source.mkdir()
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(REPOSITORY / name, source)
    for name in ("m2bert", "data_creation", "models", "tests"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(REPOSITORY / name, source / name, ignore=ignored)
    run_well(*PIP, "wheel", source, "--no-deps", "--no-build-isolation", "-w", folder / "wheels")
    (wheel,) = (folder / "wheels").iterdir()
    run_well(*PIP, "install", "--no-deps", "--no-index", "--target", folder / "site", wheel)
    return folder / "site"


def test_wheel_contains_both_packages_and_no_tests(installed):
    names = {path.name for path in installed.iterdir() if not path.name.endswith(".dist-info")}
    assert names == {"m2bert", "data_creation", "bin"}
    for package in ("m2bert", "data_creation"):
        wanted = {
            path.relative_to(REPOSITORY)
            for path in (REPOSITORY / package).rglob("*")
            if path.is_file() and "__pycache__" not in path.parts
        }
        assert all((installed / path).is_file() for path in wanted)
    assert not {path.name for path in (REPOSITORY / "models").glob("*/")} - {
        path.name for path in (installed / "m2bert/models").iterdir()
    }


def test_installed_commands_use_the_bundled_models(installed, tmp_path):
    song = write_midi(tmp_path / "song.mid")
    # -P: the folder that the tests run in is not searched for packages
    environment = os.environ | {"PYTHONPATH": str(installed)}
    call = partial(run_well, "-P", installed / "bin/m2bert", env=environment, cwd=tmp_path)
    printed = call("annotate", song, "--out", tmp_path / "out", "--cpu")
    assert all(f"  {title}  " in printed for title in ("key", "chords", "melody"))
    assert str(installed / "m2bert/models/encoder") in call(
        "embed", song, "--out", tmp_path / "vectors.npz", "--cpu", "--num_workers", "1"
    )
    page = (tmp_path / "out/song.html").read_text(encoding="utf-8")
    assert "song.mid" in page
    where = run_well("-Pc", "import m2bert; print(m2bert.__file__)", env=environment)
    assert Path(where.strip()).is_relative_to(installed)


def test_package_lists_and_exports_its_names():
    program = "import m2bert; names = dir(m2bert); from m2bert import *; "
    program += "assert all(callable(globals()[name]) for name in names); print(*names)"
    names = run_well("-c", program).split()
    assert names == sorted(names)
    assert {"NoteClassifier", "PieceClassifier", "M2BertModel", "read_record"} <= set(names)


def test_from_pretrained_finds_bundled_models_by_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert NoteClassifier.from_pretrained("melody").task == "melody"
    with pytest.raises(UserError, match="there is no folder no_such_model"):
        NoteClassifier.from_pretrained("no_such_model")
