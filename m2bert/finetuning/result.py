"""The result of a run of fine-tuning (docs/METHOD.md, "Results").

SAVE_ROOT/seed_2021/melody/result.json
SAVE_ROOT/seed_2021/composer_fold_0/result.json
"""

from pathlib import Path
from types import NoneType
from typing import Any, NamedTuple

from m2bert.base.errors import UserError
from m2bert.base.files import read_json

RESULT_FILE = "result.json"
RESULT_FORMAT = 1

_REQUIRED = {
    "task": str,
    "seed": int,
    "fold": int | NoneType,
    "metric": str,
    "settings": dict,
    "checkpoint": dict | NoneType,
    "data.test": dict,
    "epochs": list,
    "test_score": int | float,
    "clean_test_score": int | float | NoneType,
    "majority_class.test_score": int | float,
    "confusion": list,
    "per_class": list,
}
"""The required entries of a result and their types; others are not checked."""


class RunKey(NamedTuple):
    """One training: a task, a seed and, in a cross-validation, the fold that was tested."""

    task: str
    seed: int
    fold: int | None


def folder_of_run(save_root: Path, task: str, seed: int, fold: int | None) -> Path:
    """The folder of one run below `save_root`."""
    part = "" if fold is None else f"_fold_{fold}"
    return save_root / f"seed_{seed}" / f"{task}{part}"


def read_result(path: Path) -> dict:
    """Read one result, as `check_result` returns it."""
    return check_result(read_json(path), path)


def check_result(result: dict, path: Path | str) -> dict:
    """The result; raises `UserError`, which names `path`, if it is malformed or of another
    format."""
    if result.get("format_version") != RESULT_FORMAT:
        raise UserError(
            f"{path} has format version {result.get('format_version')}, this code reads "
            f"{RESULT_FORMAT}: use the release that wrote it"
        )
    wrong = [name for name, kind in _REQUIRED.items() if not isinstance(_part(result, name), kind)]
    if wrong:
        raise UserError(
            f"{path} is damaged or not a result of fine-tuning: {', '.join(wrong)} missing or of "
            "another type; remove it and run it again"
        )
    return result


def run_of(result: dict) -> RunKey:
    """The run of a result."""
    return RunKey(result["task"], result["seed"], result["fold"])


def _part(result: Any, name: str) -> Any:
    """The part of nested dicts with a dotted name; `...` if it is missing."""
    for key in name.split("."):
        result = result.get(key, ...) if isinstance(result, dict) else ...
    return result
