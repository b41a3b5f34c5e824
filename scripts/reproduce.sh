#!/usr/bin/env bash
# Usage: bash scripts/reproduce.sh [dataset_dir] [SMC_directory] [runs_dir] [flags]
#
# The whole study in one command: prepares the data that is not there, pre-trains a model with each
# objective (--objectives proposed rc nochroma mlm scratch), fine-tunes each on all tasks, and
# writes tables, curves, speeds and machine to runs_dir/results. Run again, it goes on.
#   dataset_dir    holds pop909_processed, EMOPIA_1.0, ... (default: dataset_dir)
#   SMC_directory  holds downstream_note and downstream_seq (default: SMC)
#   runs_dir       where everything goes (default: runs/reproduce)
# --minutes M stops it before M minutes have passed, for a scheduler's time limit. Further flags go
# to `python -m m2bert.reproduce` (--help lists them; docs/reproduce.md explains them).
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
split_arguments 3 "$@"

exec "$PYTHON" -m m2bert.reproduce \
    "${folders[0]:-dataset_dir}" "${folders[1]:-SMC}" "${folders[2]:-runs/reproduce}" \
    ${flags[@]+"${flags[@]}"}
