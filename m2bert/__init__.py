"""M2BERT: pre-training and fine-tuning of a ModernBERT encoder on Compound-Word notes."""

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


# A command (`python -m m2bert.X`: Python calls it "-m" until it has found X) imports torch for some
# seconds, in which Ctrl-C would print a traceback; `errors.run_command` takes over from here.
if sys.argv[:1] == ["-m"] and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, _leave)


_MODULES = {
    "M2BertModel": "m2bert.model",
    "M2BertForPreTraining": "m2bert.model",
    "NoteClassifier": "m2bert.classifiers",
    "PieceClassifier": "m2bert.classifiers",
}


def __getattr__(name: str) -> Any:
    """The models, imported when they are asked for: they need torch, which takes seconds."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULES[name]), name)
