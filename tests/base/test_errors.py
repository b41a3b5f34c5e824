import io
import signal
import threading
from functools import partial

import pytest
import torch

from m2bert.base.errors import PrintedError, UserError, run_command, show_lines_at_once
from m2bert.base.stop import Stop


def interrupt() -> None:
    signal.raise_signal(signal.SIGINT)


def fail(error: Exception) -> None:
    raise error


RESUMES = "\ninterrupted: finished work is kept; the same command resumes\n"


@pytest.mark.parametrize(
    ("main", "resumable", "status", "printed"),
    [
        (interrupt, False, 130, "\ninterrupted\n"),
        (interrupt, True, 130, RESUMES),
        (partial(fail, UserError("no song")), False, 1, "error: no song\n"),
        (partial(fail, OSError("the disk is full")), False, 1, "error: the disk is full\n"),
        (partial(fail, PrintedError()), False, 1, ""),
        (lambda: 3, False, 3, ""),
    ],
)
def test_run_command_prints_one_sentence_and_exits_with_a_status(
    capsys, main, resumable, status, printed
):
    with pytest.raises(SystemExit) as exit_:
        run_command(main, resumable)
    assert exit_.value.code == status
    assert capsys.readouterr().err == printed


def test_run_command_works_in_notebooks_and_threads(monkeypatch):
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


def test_run_command_reports_a_lack_of_memory(capsys):
    def main() -> None:
        torch.empty(2**55)

    with pytest.raises(SystemExit, match="1"):
        run_command(main)
    assert capsys.readouterr().err.startswith("error: there is not enough memory: choose a")
