"""The settings of a folder's results: commands with other settings may not write there."""

import json
from pathlib import Path
from typing import Any

from filelock import FileLock

from m2bert.base.errors import UserError
from m2bert.base.files import read_json, write_errors_of, write_json

SETTINGS_FILE = "settings.json"


def check_settings(folder: Path, settings: dict, flag: str) -> None:
    """Raise `UserError` if `folder` has results of other settings than these.

    flag: the command's option that names the folder, for the message.
    """
    path = folder / SETTINGS_FILE
    if not path.exists():
        return
    before, now = read_json(path), json.loads(json.dumps(settings))
    if 2 * len(before.keys() & now.keys()) < len(before.keys() | now.keys()):
        raise UserError(f"{folder} contains a run of another kind: use another {flag}")
    if differing := differences(before, now):
        changes = "; ".join(
            f"{name} was {old!r} and is now {new!r}" for name, old, new in differing
        )
        raise UserError(
            f"{folder} was begun with other settings ({changes}): use these or another {flag}"
        )


def claim_folder(folder: Path, settings: dict, flag: str) -> None:
    """Write the settings to `folder`, or raise `UserError` if it has results of others.

    Of several processes that do this simultaneously, the first writes and the others compare.
    """
    if folder.is_file():
        raise UserError(f"{folder} is a file: name a folder")
    with write_errors_of(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".lock").acquire()
    with lock:
        check_settings(folder, settings, flag)
        write_json(folder / SETTINGS_FILE, settings)


def differences(before: dict, now: dict) -> list[tuple[str, Any, Any]]:
    """The entries that differ between two dicts, flattened: name, value before, value now; None is
    the value of a missing entry."""
    before, now = flat(before), flat(now)
    return [
        (name, before.get(name), now.get(name))
        for name in sorted(before.keys() | now.keys())
        if before.get(name) != now.get(name)
    ]


def flat(settings: dict) -> dict:
    """Replace inner dicts by their entries: `{"a": {"b": 1}}` becomes `{"a.b": 1}`."""
    entries: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, dict):
            entries |= {f"{name}.{inner}": v for inner, v in flat(value).items()}
        else:
            entries[name] = value
    return entries
