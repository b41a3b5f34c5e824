"""All modules can be imported without POSIX-only modules."""

from tests.helpers.commands import run_well

IMPORT_ALL = """
import builtins, importlib, pkgutil

POSIX_ONLY = {"fcntl", "grp", "posix", "pwd", "resource", "termios"}
import_ = builtins.__import__

def import_without_posix(name, globals=None, *rest, **more):
    package = str((globals or {}).get("__package__")).split(".")[0]
    if name in POSIX_ONLY and package in ("m2bert", "data_creation"):
        raise ModuleNotFoundError(f"No module named {name!r}")
    return import_(name, globals, *rest, **more)

builtins.__import__ = import_without_posix
for package in ("m2bert", "data_creation"):
    for module in pkgutil.walk_packages(importlib.import_module(package).__path__, package + "."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
            print(module.name)
"""


def test_modules_import_without_posix_modules():
    assert len(run_well("-c", IMPORT_ALL).split()) > 80
