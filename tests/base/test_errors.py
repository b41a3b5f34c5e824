"""How commands end."""

import signal

import pytest

from m2bert.base.errors import Told, UserError, run_command


@pytest.mark.parametrize("goes_on", [False, True])
def test_only_commands_that_go_on_promise_to(capsys, goes_on):
    def interrupted() -> None:
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(SystemExit) as exit_:
        run_command(interrupted, goes_on)
    assert exit_.value.code == 130
    errors = capsys.readouterr().err
    assert errors.startswith("\ninterrupted")
    assert ("the same command goes on" in errors) == goes_on


@pytest.mark.parametrize(
    ("error", "printed"),
    [
        (UserError("no song"), "error: no song\n"),
        (OSError("the disk is full"), "error: the disk is full\n"),
        (Told(), ""),
    ],
)
def test_an_error_of_the_user_is_one_sentence(capsys, error, printed):
    def fails() -> None:
        raise error

    with pytest.raises(SystemExit) as exit_:
        run_command(fails)
    assert exit_.value.code == 1
    assert capsys.readouterr().err == printed
