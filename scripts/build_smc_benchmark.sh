#!/usr/bin/env bash
# Usage: bash scripts/build_smc_benchmark.sh [sources_dir] [SMC_directory] [flags]
#
# Builds SMCBenchmark's arrays from their source data sets (docs/sources.md):
#   sources_dir    contains a folder for each source (default: sources)
#   SMC_directory  where downstream_note and downstream_seq go (default: SMC)
# POP909, Pianist8 and EMOPIA are read from dataset_dir (flag --dataset_dir), as in pre-training.
# Further flags go to `python -m data_creation.build_from_sources` (--help lists them). If a
# source is missing, it is reported, the others are used, and the exit status is 1.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
split_arguments 2 "$@"

exec "$PYTHON" -m data_creation.build_from_sources \
    --sources_dir "${folders[0]:-sources}" \
    --smc_dir "${folders[1]:-SMC}" \
    ${flags[@]+"${flags[@]}"}
