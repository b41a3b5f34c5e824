"""The commands, their flags, and the libraries that they need."""

import argparse
import importlib

import pytest

from m2bert.__main__ import COMMANDS
from tests.helpers.commands import run, run_well

# A new flag is also added here. Names in brackets are accepted and ignored.
FLAGS = {
    "m2bert.pretrain": "save_dir data_root datasets exclude_songs preset init_ckpt pianoroll "
    "corruption rc_range mask_percent max_seq_len batch_size accumulation_steps max_steps "
    "seed precision compile cpu num_workers log_steps save_minutes recipe epochs lr schedule "
    "warmup_steps weight_decay dropout",
    "m2bert.finetune": "task ckpt nopretrain data_root save_root freeze transpose "
    "balance last_class_weight patience seed preset index_layer batch_size save_ckpt precision cpu "
    "(class_num) (num_workers) recipe epochs lr schedule warmup_steps weight_decay dropout",
    "m2bert.results": "RESULTS compare save_dir plot overwrite",
    "m2bert.annotate": "SONGS model tasks out formats which stride transpositions key_change "
    "markers bars precision cpu overwrite",
    "m2bert.learn": "FOLDERS out label start_from name ckpt group_by split allow_missing balance "
    "metric baseline epochs seed prepare_only folds precision cpu num_workers",
    "m2bert.embed": "FILES ckpt out nearest level index_layer stride any_key batch_size preset "
    "precision cpu num_workers overwrite",
    "m2bert.checkpoint": "SOURCE OUT facts num_attention_heads overwrite",
    "data_creation.prepare_pretrain": "dataset dataset_dir lmd_dir output_dir num_workers "
    "any_time_signature "
    "midi_reader overwrite",
    "data_creation.build_from_sources": "dataset pop909_dir sources_dir dataset_dir smc_dir "
    "num_workers strict overwrite",
    "data_creation.prepare_smc": "smc_dir output_dir dataset as_published items stretch "
    "scores overwrite",
    "data_creation.demo.__main__": "output_dir",
}


class Parsed(Exception):
    """Raised when a command reads its arguments."""


def parser_of(module: str, monkeypatch) -> argparse.ArgumentParser:
    def keep(parser, *_):
        raise Parsed(parser)

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", keep)
    with pytest.raises(Parsed) as raised:
        importlib.import_module(module).main()
    return raised.value.args[0]


def name_of(action: argparse.Action) -> str:
    if not action.option_strings:
        return action.dest.upper()
    name = action.option_strings[-1].removeprefix("--")
    return f"({name})" if action.help == argparse.SUPPRESS else name


@pytest.mark.parametrize("module", FLAGS)
def test_command_has_these_flags(module, monkeypatch):
    actions = parser_of(module, monkeypatch)._actions
    assert [name_of(action) for action in actions[1:]] == FLAGS[module].split()


def test_m2bert_lists_all_commands():
    entries = {name.removesuffix(".__main__") for name in FLAGS if "m2bert." in name}
    assert {f"m2bert.{name}" for name in COMMANDS} == entries


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
