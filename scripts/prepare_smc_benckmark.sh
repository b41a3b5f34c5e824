#!/usr/bin/env bash
# ("benckmark" is the spelling of the original.)
# Usage: bash scripts/prepare_smc_benckmark.sh [SMC_directory] [output_data_root] [flags]
#
# Converts SMCBenchmark's arrays to the fine-tuning data of all tasks:
#   SMC_directory     contains downstream_note and downstream_seq (default: SMC)
#   output_data_root  output folder (default: data/finetune)
# Further flags go to `python -m data_creation.prepare_smc` (--help lists them). If a data set is
# missing, it is reported, the others are converted, and the exit status is 1.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
split_arguments 2 "$@"

exec "$PYTHON" -m data_creation.prepare_smc \
    --smc_dir "${folders[0]:-SMC}" \
    --output_dir "${folders[1]:-data/finetune}" \
    ${flags[@]+"${flags[@]}"}
