#!/usr/bin/env bash
# Usage: bash scripts/check_gpu.sh [folder] [--dry_run]
#
# Tests this code on your GPU and measures its speed within ten minutes: the GPU tests, the attention
# kernels, all variants of the pre-training step, a run that is killed and resumed, and a fine-tuning
# run. No data is needed. A failed part does not stop the others.
#   folder     output folder of gpu_report.md, gpu_report.json and the logs (default: gpu_report)
# --dry_run uses a tiny model, on the CPU if there is no GPU, to test the script itself.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
split_arguments 1 "$@"

out=$(realpath -m "${folders[0]:-gpu_report}")
cd "$repository"
exec "$PYTHON" -m benchmarks.check_gpu "$out" ${flags[@]+"${flags[@]}"}
