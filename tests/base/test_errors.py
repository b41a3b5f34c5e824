"""How commands end."""

import signal
from functools import partial

import pytest

from m2bert.base.errors import Told, UserError, run_command


def interrupt() -> None:
    signal.raise_signal(signal.SIGINT)


def fail(error: Exception) -> None:
    raise error


GOES_ON = "\ninterrupted: what was finished is kept; the same command goes on\n"


@pytest.mark.parametrize(
    ("main", "goes_on", "status", "printed"),
    [
        (interrupt, False, 130, "\ninterrupted\n"),
        (interrupt, True, 130, GOES_ON),
        (partial(fail, UserError("no song")), False, 1, "error: no song\n"),
        (partial(fail, OSError("the disk is full")), False, 1, "error: the disk is full\n"),
        (partial(fail, Told()), False, 1, ""),
        (lambda: 3, False, 3, ""),
    ],
)
def test_a_command_ends_with_one_sentence_and_a_status(capsys, main, goes_on, status, printed):
    with pytest.raises(SystemExit) as exit_:
        run_command(main, goes_on)
    assert exit_.value.code == status
    assert capsys.readouterr().err == printed
