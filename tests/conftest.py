import json
import signal
from pathlib import Path

import pytest
import torch
from hypothesis import settings

from data_creation.demo import write_demo

# The tensors of these tests are so small that threads only wait for each other.
torch.set_num_threads(1)

# A busy machine is no failure.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

# A shell starts what it runs in the background with Ctrl-C ignored, which the programs that the
# tests start and interrupt would inherit.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def demo_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A demo of the default settings; no test may change it."""
    folder = tmp_path_factory.mktemp("demo") / "data"
    write_demo(folder)
    return folder


@pytest.fixture(scope="session")
def demo(demo_dir: Path) -> dict:
    return json.loads((demo_dir / "demo.json").read_text())
