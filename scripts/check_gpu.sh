#!/usr/bin/env bash
# Usage: bash scripts/check_gpu.sh [folder] [--dry_run]
#
# Checks and measures this code on your GPU within ten minutes: the tests for GPUs, the attention
# kernels, the pre-training step in all its forms, a run that is killed and resumed, and a fine-tuning
# run. No data is needed. A failed part does not stop the others.
#   folder     for gpu_report.md, gpu_report.json and the logs (default: gpu_report)
# --dry_run does the same with a tiny model, on the CPU if there is no GPU, to test the script itself.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
split_arguments 1 "$@"

out=$(realpath -m "${folders[0]:-gpu_report}")
cd "$repository"
exec "$PYTHON" -m benchmarks.check_gpu "$out" ${flags[@]+"${flags[@]}"}
