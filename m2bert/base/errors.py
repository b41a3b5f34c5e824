"""The one exception that means "the user can mend this", and how a command shows it."""

import signal
import sys
from collections.abc import Callable
from io import TextIOWrapper


class UserError(Exception):
    """Bad input or a bad setting: one sentence that says what is wrong, where, and what to do."""


class Told(UserError):
    """A `UserError` that the user has been told of, by one process for all."""


def tell(error: UserError) -> None:
    """Print the sentence of an error, unless that was done."""
    if not isinstance(error, Told):
        print(f"error: {error}", file=sys.stderr)


def show_lines_at_once(escape: bool = False) -> None:
    """Make the standard output show each line when it is printed: in a log, errors then stand where
    they happened.

    escape: whether characters that the terminal cannot show are escaped (file names may be in any
    encoding, and terminals may lack flats and sharps).
    """
    assert isinstance(sys.stdout, TextIOWrapper)
    sys.stdout.reconfigure(line_buffering=True, errors="backslashreplace" if escape else None)


def run_command(main: Callable[[], int | None], goes_on: bool = False) -> None:
    """Run a command's `main` and leave with its exit status.

    goes_on: whether the command, given once more, goes on where it was interrupted.

    A `UserError`, an error of the operating system (a full disk, a folder that may not be written)
    and Ctrl-C end it with one sentence on the standard error and a non-zero status.
    """
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        sys.exit(main() or 0)
    except UserError as error:
        tell(error)
        sys.exit(1)
    except OSError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        kept = ": what was finished is kept; the same command goes on" if goes_on else ""
        print(f"\ninterrupted{kept}", file=sys.stderr)
        sys.exit(130)
