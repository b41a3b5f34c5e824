"""The processes that train together: one, or as many as `torchrun` has started.

All run the same program. The first, the main one, writes files and speaks; what could differ
between them (a clock, a lock, a file that one machine lacks) they agree on.
"""

import os
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import timedelta
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel
from tqdm import tqdm

from m2bert.base.devices import choose_device, choose_precision
from m2bert.base.errors import Told, UserError, tell

LONGEST_WAIT = timedelta(hours=3)
"""The others wait while one process writes a large published corpus in flat form."""

Item = TypeVar("Item")


def start_processes(cpu: bool) -> "Processes":
    """Find the other processes by the variables that `torchrun` sets, and this one's device (`cpu`:
    not a GPU).

    Raises `UserError` if there are more processes on this machine than GPUs.
    """
    device, count = choose_device(cpu), int(os.environ.get("WORLD_SIZE", 1))
    if count == 1:
        return Processes(device)
    if device.type == "cuda":
        here, gpus = int(os.environ["LOCAL_WORLD_SIZE"]), torch.cuda.device_count()
        if here > gpus:
            raise UserError(
                f"{here} processes cannot share {gpus} GPUs: "
                "--nproc_per_node must be at most their number"
            )
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    backend = "nccl" if device.type == "cuda" else "gloo"
    distributed.init_process_group(backend, timeout=LONGEST_WAIT)
    return Processes(device, distributed.get_rank(), count)


class Processes:
    """This process's place among `count` processes; alone it waits for nothing.

    Methods that are marked as collective block until every process has called them, so all must
    call them in the same order.
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

    # Agreeing: all of these are collective -----------------------------------------------------

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
        error: UserError | None = None
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
        if error is not None and claim == greatest:
            tell(error)
        self.wait()  # a process that leaves is the end of all: not before it is said
        raise Told from error

    def from_main(self, act: Callable[[], bool]) -> bool:
        """What `act` answers in the main process, the only one to do it."""
        with self.as_one():
            answer = self.is_main and act()
        return bool(self.greatest(answer))

    def choose_precision(self, wanted: str | None) -> str:
        """`devices.choose_precision` by the main process, for all: timings may differ."""
        is_bf16 = self.from_main(lambda: choose_precision(wanted, self.device, self.say) == "bf16")
        return "bf16" if is_bf16 else "fp32"

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
        processes (collective). In every step all must use all weights that have a gradient."""
        if self._group is None:
            return model
        devices = [self.device] if self.device.type == "cuda" else None
        with warnings.catch_warnings():  # newer releases have another name for this flag
            warnings.filterwarnings("ignore", "`broadcast_buffers` is deprecated", FutureWarning)
            return DistributedDataParallel(model, devices, broadcast_buffers=False)

    def local_gradients(self, wrapped: nn.Module) -> AbstractContextManager:
        """While entered, backward passes through a wrapped model add to this process's gradients
        alone; the first one after it takes the mean of what has gathered."""
        if isinstance(wrapped, DistributedDataParallel):
            return wrapped.no_sync()
        return nullcontext()

    def add_up(self, tensor: Tensor) -> Tensor:
        """The sum of all processes' tensors (collective); int16, which cannot be sent, travels as
        int32."""
        if self._group is None:
            return tensor
        summed = tensor.int() if tensor.dtype == torch.int16 else tensor.clone()
        distributed.all_reduce(summed)
        return summed.to(tensor.dtype)
