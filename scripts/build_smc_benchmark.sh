#!/usr/bin/env bash
# Usage: bash scripts/build_smc_benchmark.sh [sources_dir] [SMC_directory] [flags]
#
# Makes SMCBenchmark's arrays from their source data sets (docs/sources.md):
#   sources_dir    contains a folder for each source (default: sources)
#   SMC_directory  where downstream_note and downstream_seq go (default: SMC)
# POP909, Pianist8 and EMOPIA are taken from the corpora, in dataset_dir (flag --dataset_dir).
# Further flags go to `python -m data_creation.build_from_sources` (--help lists them). A missing
# source is named, the others are used, and the exit status is 1.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
split_arguments 2 "$@"

exec "$PYTHON" -m data_creation.build_from_sources \
    --sources_dir "${folders[0]:-sources}" \
    --smc_dir "${folders[1]:-SMC}" \
    ${flags[@]+"${flags[@]}"}
