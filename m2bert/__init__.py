"""M2BERT: pre-training and fine-tuning of a ModernBERT encoder on Compound-Word notes.

For use from Python: the classes of models, and `read_record`, which tells how a model was trained.
"""

import importlib
import os
import signal
import sys
from typing import Any

# Large tensors on a CPU get huge pages: torch allocates them anew at every step, and the first
# touch of ordinary pages takes longer than what is computed on them. Read when torch is imported.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")


def _leave(*_: object) -> None:
    os.write(2, b"\ninterrupted before anything was done\n")
    os._exit(130)


# A command imports torch for some seconds, in which Ctrl-C would print a traceback;
# `base.errors.run_command` takes over from here. (A module is called "-m" until it is found.)
_is_command = os.path.basename(sys.argv[0] if sys.argv else "") in ("-m", "m2bert")
if _is_command and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, _leave)


_MODULES = {
    "M2BertModel": "m2bert.model.encoder",
    "M2BertForPreTraining": "m2bert.model.encoder",
    "NoteClassifier": "m2bert.model.classifiers",
    "PieceClassifier": "m2bert.model.classifiers",
    "read_record": "m2bert.model.folder",
}


__all__ = [*_MODULES]  # the names of what is imported when it is asked for


def __dir__() -> list[str]:
    return sorted(__all__)


def __getattr__(name: str) -> Any:
    """The models and functions, imported when they are asked for: torch takes seconds."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULES[name]), name)
