#!/usr/bin/env bash
# Usage: bash scripts/prepare_pretrain_data.sh [dataset_dir] [lmd_dir] [output_data_root] [flags]
#
# Converts the data sets, in their published folder layouts, to corpora for pre-training:
#   dataset_dir       contains pop909_processed, EMOPIA_1.0, ... (default: dataset_dir), and
#                     optionally openscore_lieder and openscore_quartets
#   lmd_dir           LMD's folder (default: lmd_matched)
#   output_data_root  where the corpora go (default: data/pretrain)
# Further flags go to `python -m data_creation.prepare_pretrain` (--help lists them). If a data
# set is missing, it is reported, the others are converted, and the exit status is 1.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
split_arguments 3 "$@"

exec "$PYTHON" -m data_creation.prepare_pretrain \
    --dataset_dir "${folders[0]:-dataset_dir}" \
    --lmd_dir "${folders[1]:-lmd_matched}" \
    --output_dir "${folders[2]:-data/pretrain}" \
    ${flags[@]+"${flags[@]}"}
