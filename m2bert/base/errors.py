"""`UserError`, the exception for what the user can correct, and the ends of commands."""

import os
import signal
import sys
import threading
from collections.abc import Callable
from io import TextIOWrapper


class UserError(Exception):
    """Bad input or a bad setting. One sentence: what is wrong, in which file, what to do."""


class PrintedError(UserError):
    """A `UserError` whose sentence has been printed already, by one of several processes."""


def print_error(error: UserError | OSError) -> None:
    """Print the sentence of an error on the standard error, unless it has been printed."""
    if not isinstance(error, PrintedError):
        print(f"error: {error}", file=sys.stderr)


def show_lines_at_once(escape: bool = False) -> None:
    """Flush the standard output after each line, so that it is in order with the errors in a file
    of both. escape: whether to escape characters that the terminal cannot show, as of file names.
    """
    if isinstance(sys.stdout, TextIOWrapper):  # a notebook has a stream of its own
        sys.stdout.reconfigure(line_buffering=True, errors="backslashreplace" if escape else None)


def print_result(text: str) -> None:
    """Print the result of a command. A reader that stops (`| head -1`) is not an error."""
    try:
        print(text, flush=True)
    except BrokenPipeError:  # Python would try again when it exits
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def run_command(main: Callable[[], int | None], resumable: bool = False) -> None:
    """Run a command's `main` and exit with its status. A `UserError`, an `OSError` (a full disk), a
    lack of memory and Ctrl-C print one sentence and exit with a non-zero status.

    resumable: whether the same command resumes after an interruption.
    """
    in_main_thread = threading.current_thread() is threading.main_thread()
    if in_main_thread and signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        sys.exit(main() or 0)
    except (UserError, OSError) as error:
        print_error(error)
        sys.exit(1)
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "DefaultCPUAllocator" not in str(error):
            raise
        print_error(
            UserError("there is not enough memory: choose a smaller model or smaller batches")
        )
        sys.exit(1)
    except KeyboardInterrupt:
        kept = ": finished work is kept; the same command resumes" if resumable else ""
        print(f"\ninterrupted{kept}", file=sys.stderr)
        sys.exit(130)
