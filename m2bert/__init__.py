"""M2BERT: pre-training and fine-tuning of a ModernBERT encoder on Compound-Word notes."""

import os

# Large tensors on a CPU get huge pages: torch allocates them anew at every step, and the first
# touch of ordinary pages takes longer than what is computed on them. Read when torch is imported.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
