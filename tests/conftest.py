import json
import signal
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, settings

from data_creation.demo.write import write_demo

# The tensors of these tests are so small that threads only wait for each other.
torch.set_num_threads(1)

# A busy machine is no failure, and a fixture's folder may serve all examples of a test.
shared_fixtures = [HealthCheck.function_scoped_fixture]
settings.register_profile("patient", deadline=None, suppress_health_check=shared_fixtures)
settings.load_profile("patient")

# A shell starts what it runs in the background with Ctrl-C ignored, which the programs that the
# tests start and interrupt would inherit.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter):
    """Say below everything else how much of the original this run compared with."""
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
            f"comparisons with the original's figures: {compared} made, {skipped} skipped"
        )


@pytest.fixture(scope="session")
def demo_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A demo of the default settings; no test may change it."""
    folder = tmp_path_factory.mktemp("demo") / "data"
    write_demo(folder)
    return folder


@pytest.fixture(scope="session")
def demo(demo_dir: Path) -> dict:
    return json.loads((demo_dir / "demo.json").read_text())


@pytest.fixture(scope="module")
def finetuning_inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a pre-trained model and the data of three tasks."""
    from tests.helpers.task_files import write_checkpoint, write_task  # here, as they take seconds

    folder = tmp_path_factory.mktemp("finetuning_inputs")
    write_checkpoint(folder / "pretrained")
    for name in ("melody", "composer", "localkey"):
        write_task(folder / "data", name)
    return folder
