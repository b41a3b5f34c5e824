import signal

import torch
from hypothesis import settings

# The tensors of these tests are so small that threads only wait for each other.
torch.set_num_threads(1)

# A busy machine is no failure.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

# A shell starts what it runs in the background with Ctrl-C ignored, which the programs that the
# tests start and interrupt would inherit.
signal.signal(signal.SIGINT, signal.default_int_handler)
