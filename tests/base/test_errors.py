"""How commands end."""

import signal

import pytest

from m2bert.base.errors import run_command


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
