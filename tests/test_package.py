"""The package that pip installs."""

import os
import shutil
from pathlib import Path

import pytest

import m2bert
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
    words = ("annotate", song, "--tasks", "melody", "keys", "--out", tmp_path / "out")
    printed = run_well("-P", installed / "bin/m2bert", *words, env=environment, cwd=tmp_path)
    assert all(f"  {title}  " in printed for title in ("key", "melody"))
    assert "song.mid" in (tmp_path / "out/song.html").read_text(encoding="utf-8")


def test_package_exports_its_names():
    names = {"annotate_song", "NoteClassifier", "PieceClassifier", "M2BertModel", "read_record"}
    assert names <= set(dir(m2bert)) == set(m2bert.__all__)
    assert all(callable(getattr(m2bert, name)) for name in dir(m2bert))


def test_from_pretrained_finds_bundled_models_by_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert m2bert.NoteClassifier.from_pretrained("melody").task.name == "melody"
    with pytest.raises(UserError, match="there is no folder no_such_model"):
        m2bert.NoteClassifier.from_pretrained("no_such_model")
