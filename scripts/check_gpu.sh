#!/usr/bin/env bash
# Usage: bash scripts/check_gpu.sh [folder] [--dry_run]
#
# Checks and measures this code on your GPU in ten minutes or less: the tests for GPUs, the kernels
# of attention, the pre-training step in all its forms, a run that is killed and resumed, and a
# fine-tuning run. No data is needed. Whatever fails in between, the rest is done and reported.
#   folder     where gpu_report.md, gpu_report.json and the logs go (default: gpu_report)
# --dry_run does the same with a tiny model, on the CPU if there is no GPU, to try the script itself.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
split_arguments 1 "$@"

out=$(realpath -m "${folders[0]:-gpu_report}")
cd "$repository"
exec "$PYTHON" -m benchmarks.check_gpu "$out" ${flags[@]+"${flags[@]}"}
