"""The processes of a pre-training: a single process, or those that `torchrun` has started.

Only the main process, of rank 0, writes files and prints. Before a decision that processes could
make differently (by clock, lock, or a file that one machine lacks), they exchange values.
"""

import os
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import timedelta

import numpy as np
import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel
from tqdm import tqdm

from m2bert.base.devices import check_device, choose_device
from m2bert.base.errors import PrintedError, UserError, print_error

LONGEST_WAIT = timedelta(hours=3)
"""How long a process waits for the others before it fails. The longest wait is while one process
converts a large published corpus for all."""


def start_processes(cpu: bool) -> "Processes":
    """Connect this process with the others, by the environment variables of `torchrun` (or `srun`
    with RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT), and choose its device, the CPU if `cpu`.

    Raises `UserError` for a GPU that does not compute, and for more processes than GPUs.
    """
    device = choose_device(cpu, warn=os.environ.get("RANK", "0") == "0")
    if int(os.environ.get("WORLD_SIZE", 1)) == 1:
        check_device(device)
        return Processes(device)
    if device.type == "cuda":
        device = torch.device("cuda", own_gpu(torch.cuda.device_count()))
        torch.cuda.set_device(device)
    backend = "nccl" if device.type == "cuda" else "gloo"
    distributed.init_process_group(backend, timeout=LONGEST_WAIT)
    processes = Processes(device, distributed.get_rank(), distributed.get_world_size())
    with processes.fail_together():
        check_device(device)
    return processes


def own_gpu(gpus: int) -> int:
    """The number of this process's GPU: 0 if it sees only one, as under SLURM."""
    if gpus == 1:
        return 0
    number = int(os.environ.get("LOCAL_RANK") or os.environ.get("SLURM_LOCALID") or 0)
    if number >= gpus:
        raise UserError(
            f"process {number + 1} of this machine has no GPU of its own, there are {gpus}: "
            "--nproc_per_node must be at most their number"
        )
    return number


class Processes:
    """This process among `world_size`. Collective methods block until every process has called
    them, so all must call them in the same order."""

    def __init__(self, device: torch.device, rank: int = 0, world_size: int = 1):
        self.device, self.rank, self.world_size = device, rank, world_size
        self.is_main = rank == 0
        # Values are exchanged through the CPUs, so that nothing waits for the work of the GPUs.
        self._group = None
        if world_size > 1:
            self._group = distributed.new_group(backend="gloo", timeout=LONGEST_WAIT)

    def say(self, line: str) -> None:
        """Print a line, in the main process, above a progress bar."""
        if self.is_main:
            tqdm.write(line)

    # Decisions of all processes: all of these methods are collective ---------------------------

    def greatest(self, value: int) -> int:
        if self._group is None:
            return value
        gathered = torch.tensor(int(value))
        distributed.all_reduce(gathered, distributed.ReduceOp.MAX, group=self._group)
        return int(gathered)

    @contextmanager
    def fail_together(self) -> Iterator[None]:
        """If the block raises `UserError` or `OSError` in any process, raise `PrintedError` in all
        of them, after the first of those that failed has printed its sentence.

        In the block, no collective method may follow a line that may fail in one process only.
        """
        error: UserError | OSError | None = None
        try:
            yield
        except (UserError, OSError) as raised:
            if self._group is None:
                raise
            error = raised
        claim = 0 if error is None else self.world_size - self.rank
        if first := self.greatest(claim):  # of the first process that failed
            if claim == first and error is not None:
                print_error(error)
            self.wait()  # torchrun ends all when one exits, so none may before it has printed
            raise PrintedError from error

    def wait(self) -> None:
        if self._group is not None:
            distributed.barrier(self._group)

    def end(self) -> None:
        self.wait()
        if self._group is not None:
            distributed.destroy_process_group()

    # Dividing a step ---------------------------------------------------------------------------

    def own_rows(self, rows: np.ndarray) -> np.ndarray:
        """This process's part of the rows of a batch."""
        return np.array_split(rows, self.world_size)[self.rank]

    def wrap(self, model: nn.Module) -> nn.Module:
        """Wrap a model so that it starts with the main process's weights and its gradients are
        means over all processes (collective)."""
        if self._group is None:
            return model
        devices = [self.device] if self.device.type == "cuda" else None
        with warnings.catch_warnings():  # newer releases have another name for this flag
            warnings.filterwarnings("ignore", "`broadcast_buffers` is deprecated", FutureWarning)
            return DistributedDataParallel(
                model, devices, broadcast_buffers=False, gradient_as_bucket_view=True
            )

    def local_gradients(self, wrapped: nn.Module) -> AbstractContextManager:
        """A context in which backward passes add to this process's own gradients; the first one
        after it averages them over all processes."""
        if isinstance(wrapped, DistributedDataParallel):
            return wrapped.no_sync()
        return nullcontext()

    def add_up(self, tensor: Tensor) -> Tensor:
        if self._group is None:
            return tensor
        total = tensor.clone()
        distributed.all_reduce(total)
        return total
