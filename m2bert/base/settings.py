"""The settings that a folder's content was made with, so that two kinds are never mixed in it."""

import json
import time
from pathlib import Path
from typing import Any

from m2bert.base.errors import UserError
from m2bert.base.files import read_json, try_lock, write_json

SETTINGS_FILE = "settings.json"


def refuse_other_settings(folder: Path, settings: dict, flag: str) -> None:
    """Raise `UserError` if `folder` was begun with other settings than these.

    flag: the option that names another folder.
    """
    path = folder / SETTINGS_FILE
    if not path.exists():
        return
    differing = differences(read_json(path), json.loads(json.dumps(settings)))
    if differing:
        changes = "; ".join(
            f"{name} was {old!r} and is now {new!r}" for name, old, new in differing
        )
        raise UserError(
            f"{folder} was begun with other settings ({changes}): use these or another {flag}"
        )


def claim_folder(folder: Path, settings: dict, flag: str) -> None:
    """Note the settings in `folder`, or raise `UserError` if it was begun with others.

    Processes that begin one folder at the same moment take turns.
    """
    while (lock := try_lock(folder / ".lock")) is None:
        time.sleep(0.05)
    with lock:
        refuse_other_settings(folder, settings, flag)
        write_json(folder / SETTINGS_FILE, settings)


def differences(before: dict, now: dict) -> list[tuple[str, Any, Any]]:
    """Where two dicts differ: the entry's name, its value before and now (None for no entry)."""
    before, now = flat(before), flat(now)
    return [
        (name, before.get(name), now.get(name))
        for name in sorted(before.keys() | now.keys())
        if before.get(name) != now.get(name)
    ]


def flat(settings: dict) -> dict:
    """Settings without inner dicts, whose entries get dotted names instead."""
    entries: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, dict):
            entries |= {f"{name}.{inner}": v for inner, v in flat(value).items()}
        else:
            entries[name] = value
    return entries
