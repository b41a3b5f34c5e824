#!/usr/bin/env bash
# Usage: bash scripts/preprocess_pop909.sh [POP909_dir] [dataset_dir] [flags]
#
# Aligns the songs of POP909 to their beats:
#   POP909_dir   contains the folders 001 to 909 (default: POP909)
#   dataset_dir  output folder of pop909_processed (default: dataset_dir)
# Further flags go to `python -m data_creation.build_from_sources` (--help lists them).
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
split_arguments 2 "$@"

exec "$PYTHON" -m data_creation.build_from_sources \
    --dataset pop909_processed \
    --pop909_dir "${folders[0]:-POP909}" \
    --dataset_dir "${folders[1]:-dataset_dir}" \
    ${flags[@]+"${flags[@]}"}
