import json
import signal
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, settings

from data_creation.demo.write import write_demo

# The tensors of the tests are too small for threads.
torch.set_num_threads(1)

# Tests may be slow on a busy machine, and examples of a test may share a fixture's folder.
shared_fixtures = [HealthCheck.function_scoped_fixture]
settings.register_profile("patient", deadline=None, suppress_health_check=shared_fixtures)
settings.load_profile("patient")

# Background jobs of a shell ignore Ctrl-C; the programs that tests interrupt would inherit this.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter):
    """Print the number of comparisons with the original."""
    yield
    compared, skipped = (
        sum("same_as_original" in report.keywords for report in reports)
        for reports in (
            terminalreporter.getreports("passed") + terminalreporter.getreports("failed"),
            terminalreporter.getreports("skipped"),
        )
    )
    if compared or skipped:
        terminalreporter.write_line(
            f"comparisons with the original: {compared} made, {skipped} skipped"
        )


@pytest.fixture(scope="session")
def demo_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A demo with default settings; tests must not change it."""
    folder = tmp_path_factory.mktemp("demo") / "data"
    write_demo(folder)
    return folder


@pytest.fixture(scope="session")
def demo(demo_dir: Path) -> dict:
    return json.loads((demo_dir / "demo.json").read_text())


@pytest.fixture(scope="module")
def finetuning_inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a pre-trained model and the data of three tasks."""
    from tests.helpers.task_files import write_checkpoint, write_task  # slow imports

    folder = tmp_path_factory.mktemp("finetuning_inputs")
    write_checkpoint(folder / "pretrained")
    for name in ("melody", "composer", "localkey"):
        write_task(folder / "data", name)
    return folder
