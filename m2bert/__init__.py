"""M2BERT: pre-training and fine-tuning of a ModernBERT encoder on Compound-Word notes.

For use from Python: `annotate_song`, the classes of models, and `read_record`, a model's record of
its training.
"""

import importlib
import os
import signal
import sys
from typing import Any

__version__ = "0.2.0"

# Huge pages for large tensors on a CPU: torch allocates them at every step, and the first touch of
# ordinary pages takes longer than the computation. Read when torch is imported.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")


def _leave(*_: object) -> None:
    os.write(2, b"\ninterrupted during startup\n")
    os._exit(130)


# While a command imports torch, Ctrl-C would print a traceback; then `base.errors.run_command`
# handles it. (A module is called "-m" until it is found.)
_is_command = os.path.basename(sys.argv[0] if sys.argv else "") in ("-m", "m2bert")
if _is_command and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, _leave)


_MODULES = {
    "annotate_song": "m2bert.annotation.annotated_song",
    "M2BertModel": "m2bert.model.encoder",
    "M2BertForPreTraining": "m2bert.model.encoder",
    "NoteClassifier": "m2bert.model.classifiers",
    "PieceClassifier": "m2bert.model.classifiers",
    "read_record": "m2bert.model.folder",
}

__all__ = [*_MODULES]


def __dir__() -> list[str]:
    return sorted(__all__)


def __getattr__(name: str) -> Any:
    """Import a name on first use, since importing torch takes seconds."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULES[name]), name)
