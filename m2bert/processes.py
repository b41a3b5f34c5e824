"""The processes that do one piece of work together: one, or as many as `torchrun` (or `accelerate
launch`) has started.

All go through the same program. The first, the main one, writes files and speaks; what could come
out differently in each (a clock, a lock, a file that is missing on one machine) they agree on.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar

import numpy as np
import torch
from accelerate import PartialState
from accelerate.utils import get_cpu_distributed_information
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel
from tqdm import tqdm

from m2bert.devices import choose_device
from m2bert.errors import Told, UserError, tell

LONGEST_WAIT = timedelta(hours=3)
"""The others wait while one process writes a large published corpus in flat form."""

Item = TypeVar("Item")


def start_processes(cpu: bool) -> "Processes":
    """Find the other processes, and this one's device (`cpu`: not a GPU).

    Raises `UserError` if there are more processes on this machine than GPUs.
    """
    device, launched = choose_device(cpu), get_cpu_distributed_information()
    if launched.world_size == 1:
        return Processes(device)
    if device.type == "cuda" and launched.local_world_size > torch.cuda.device_count():
        raise UserError(
            f"{launched.local_world_size} processes cannot share {torch.cuda.device_count()} GPUs: "
            "--nproc_per_node must be at most their number"
        )
    state = PartialState(cpu=device.type == "cpu", timeout=LONGEST_WAIT)
    return Processes(state.device, state.process_index, state.num_processes)


class Processes:
    """This process's place among `count` processes; alone it waits for nothing.

    What is said to be called by all waits until all have called it, so they must in one order.
    """

    def __init__(self, device: torch.device, index: int = 0, count: int = 1):
        self.device, self.index, self.count = device, index, count
        self.is_main = index == 0
        # Agreeing must not wait for what the GPUs are doing.
        self._group = None
        if count > 1:
            self._group = distributed.new_group(backend="gloo", timeout=LONGEST_WAIT)

    # Speaking --------------------------------------------------------------------------------

    def say(self, line: str) -> None:
        """Print a line, in the main process."""
        if self.is_main:
            tqdm.write(line)

    def progress(
        self, items: Iterable[Item], title: str, total: int | None = None, first: int = 0
    ) -> Iterator[Item]:
        """Pass items on, the main process with a progress bar where there is a terminal."""
        hidden = None if self.is_main else True  # None: shown on a terminal only
        yield from tqdm(items, title, total, initial=first, disable=hidden, leave=False, ncols=80)

    def failure(self, sentence: str) -> BaseException:
        """What to raise where one process alone fails in the midst of common work.

        The others wait for it there and cannot be told: it ends, and its launcher ends them.
        """
        return UserError(sentence) if self._group is None else SystemExit(f"error: {sentence}")

    # Agreeing; called by all -----------------------------------------------------------------

    def greatest(self, value: int) -> int:
        """The greatest value that any process gives."""
        if self._group is None:
            return value
        shared = torch.tensor(int(value))
        distributed.all_reduce(shared, distributed.ReduceOp.MAX, group=self._group)
        return int(shared)

    def agree(self, value: int) -> bool:
        """Whether all give the same value."""
        return self.greatest(value) == -self.greatest(-value)

    @contextmanager
    def as_one(self) -> Iterator[None]:
        """Turn a `UserError`, or an error of the operating system, in any process into one in all,
        which is said once.

        In the block no process may wait for the others once one of them may have failed alone.
        """
        if self._group is None:
            yield
            return
        error = None
        try:
            yield
        except UserError as raised:
            error = raised
        except OSError as raised:
            error = UserError(str(raised))
        claim = 0 if error is None else self.count - self.index
        greatest = self.greatest(claim)
        if not greatest:
            return
        if claim == greatest:
            tell(error)
        self.wait()  # a process that leaves is the end of all: not before it is said
        raise Told from error

    def from_main(self, act: Callable[[], bool]) -> bool:
        """What `act` answers in the main process, the only one to do it."""
        with self.as_one():
            answer = self.is_main and act()
        return bool(self.greatest(answer))

    def wait(self) -> None:
        """Go on when all have come here."""
        if self._group is not None:
            distributed.barrier(self._group)

    def end(self) -> None:
        """Leave the others, when all have come here."""
        self.wait()
        if self._group is not None:
            distributed.destroy_process_group()

    # Sharing work ----------------------------------------------------------------------------

    def share(self, rows: np.ndarray) -> np.ndarray:
        """This process's part of the rows of a batch; empty if there are fewer than processes."""
        return np.array_split(rows, self.count)[self.index]

    def wrap(self, model: nn.Module) -> nn.Module:
        """A model with the weights of the main process, whose gradients are means over all
        processes; called by all. All must use all weights that have a gradient in every step."""
        if self._group is None:
            return model
        devices = [self.device] if self.device.type == "cuda" else None
        return DistributedDataParallel(model, devices, forward_sync_buffers=False)

    def add_up(self, tensor: Tensor) -> Tensor:
        """The sum of all processes' tensors; called by all. Of shorts, which cannot be sent, as
        ints on the way."""
        if self._group is None:
            return tensor
        summed = tensor.int() if tensor.dtype == torch.int16 else tensor.clone()
        distributed.all_reduce(summed)
        return summed.to(tensor.dtype)
