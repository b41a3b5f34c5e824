#!/usr/bin/env bash
# Usage: bash pretrain_full.sh [save_dir] [data_root] [flags]
#
# Like pretrain.sh, on all six corpora: the reduced set and the Lakh MIDI data set.
#   save_dir   the folder of the run (default: runs/pretrain_full)
#   data_root  the corpora made by scripts/prepare_pretrain_data.sh (default: data/pretrain)
# Other flags go to `python -m m2bert.pretrain` (--help lists them).
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
source "$here/scripts/environment.sh"
split_arguments 2 "$@"

exec bash "$here/pretrain.sh" "${folders[0]:-runs/pretrain_full}" "${folders[1]:-data/pretrain}" \
    --datasets pop909 pianist8 pop1k7 ASAP emopia lmd ${flags[@]+"${flags[@]}"}
