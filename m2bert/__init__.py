"""M2BERT: pre-training and fine-tuning of a ModernBERT encoder on Compound-Word notes."""

import os
import signal
import sys

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
