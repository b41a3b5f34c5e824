#!/usr/bin/env bash
# Usage: bash pretrain.sh [save_dir] [data_root] [flags]
#
# Pre-trains on the paper's reduced set of corpora: 150 epochs, batches of 12 segments of 1024
# notes. The same command resumes a run.
#   save_dir   the folder of the run (default: runs/pretrain)
#   data_root  the corpora made by scripts/prepare_pretrain_data.sh (default: data/pretrain)
# Other flags go to `python -m m2bert.pretrain` (--help lists them).
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/scripts/environment.sh"
split_arguments 2 "$@"

exec "$PYTHON" -m m2bert.pretrain \
    --save_dir "${folders[0]:-runs/pretrain}" \
    --data_root "${folders[1]:-data/pretrain}" \
    --datasets pop909 pianist8 pop1k7 ASAP emopia \
    ${flags[@]+"${flags[@]}"}
