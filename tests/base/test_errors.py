"""How commands end."""

import io
import signal
import threading
from functools import partial

import pytest
import torch

from m2bert.base.errors import Told, UserError, run_command, show_lines_at_once
from m2bert.base.stop import Stop


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


def test_commands_work_in_notebooks_and_threads(monkeypatch):
    """A notebook has an output stream of its own, and a thread gets no signals."""
    statuses = []

    def main() -> int:
        show_lines_at_once()
        with Stop() as stop:
            return 3 + stop.signal

    def work() -> None:
        try:
            run_command(main)
        except SystemExit as end:
            statuses.append(end.code)

    monkeypatch.setattr("sys.stdout", io.StringIO())
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    work()
    assert statuses == [3, 3]


def test_a_lack_of_memory_is_one_sentence(capsys):
    def main() -> None:
        torch.empty(2**55)

    with pytest.raises(SystemExit, match="1"):
        run_command(main)
    said = capsys.readouterr().err
    assert said == (
        "error: there is not enough memory: choose a smaller model or smaller batches\n"
    )
