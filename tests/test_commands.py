"""The commands, and the libraries that they need."""

import pytest

from m2bert.__main__ import COMMANDS
from tests.helpers.commands import run, run_well
from tests.helpers.shared import REPOSITORY


def test_m2bert_lists_all_commands():
    modules = (REPOSITORY / "m2bert").glob("[!_]*.py")
    assert {path.stem for path in modules if "\ndef main(" in path.read_text()} == set(COMMANDS)


def test_m2bert_help_imports_no_libraries():
    script = (
        "import sys; sys.modules.update(torch=None, numpy=None); sys.argv = ['m2bert', '--help']; "
        "from m2bert.__main__ import main; main()"
    )
    done = run("-c", script)
    assert done.returncode == 0, done.stderr
    assert all(f"\n  {name} " in done.stdout for name in COMMANDS)


def test_m2bert_passes_arguments_and_rejects_unknown_commands():
    done = run("-m", "m2bert", "checkpoint", "no_such_file", "x.ckpt")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "error: there is no checkpoint no_such_file\n"
    done = run("-m", "m2bert", "--version")
    assert f"\nversion: {done.stdout}" in (REPOSITORY / "CITATION.cff").read_text()
    done = run("-m", "m2bert", "anotate")
    assert done.returncode == 2
    assert "error: there is no command anotate" in done.stderr


@pytest.mark.parametrize(
    ("modules", "libraries"),
    [
        ("m2bert.pretrain, m2bert.finetune", "miditoolkit mido symusic matplotlib tensorboard"),
        (
            "m2bert.embed, data_creation.prepare_pretrain, data_creation.build_from_sources",
            "torch transformers",
        ),
    ],
)
def test_commands_start_without_libraries(modules, libraries):
    script = f"import sys; sys.modules.update(dict.fromkeys({libraries!r}.split())); "
    run_well("-c", f"{script}import {modules}")
