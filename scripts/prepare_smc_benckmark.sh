#!/usr/bin/env bash
# ("benckmark" is how the original spells this script's name, which stays as published.)
# Usage: bash scripts/prepare_smc_benckmark.sh [SMC_directory] [output_data_root] [flags]
#
# Makes the fine-tuning data of all tasks from SMCBenchmark's arrays:
#   SMC_directory     contains downstream_note and downstream_seq (default: SMC)
#   output_data_root  where the arrays go (default: data/finetune)
# Further flags go to `python -m data_creation.prepare_smc` (--help lists them). A missing data set
# is named, the others are made, and the exit status is 1.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
split_arguments 2 "$@"

exec "$PYTHON" -m data_creation.prepare_smc \
    --smc_dir "${folders[0]:-SMC}" \
    --output_dir "${folders[1]:-data/finetune}" \
    ${flags[@]+"${flags[@]}"}
