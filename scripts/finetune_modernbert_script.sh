#!/usr/bin/env bash
# Usage: bash scripts/finetune_modernbert_script.sh [ckpt_dir] [note_data_root] [seq_data_root] [flags]
#
# Fine-tunes a pre-trained model on every task of SMCBenchmark whose data exists, with the seeds of
# the benchmark (47 runs with all data), and prints the table of results. The same command keeps
# finished runs and continues with the others.
#   ckpt_dir        a pre-training run, a model folder, or a folder with the original's
#                   model_best.ckpt (default: runs/pretrain)
#   note_data_root  data of the note tasks (default: data/finetune)
#   seq_data_root   data of the piece tasks (default: note_data_root)
# JOBS=4 before the command does four runs at a time, distributed over all GPUs. Other flags go to
# `python -m m2bert.finetune` (--help lists them); results are written to --save_root (runs/finetune).
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
split_arguments 3 "$@"
note_data_root="${folders[1]:-data/finetune}"
jobs=${JOBS:-1}
if [[ ! $jobs =~ ^[1-9][0-9]*$ ]]; then
    echo "error: JOBS is '$jobs', not a number of runs at a time (1 or more)" >&2
    exit 2
fi

save_root=runs/finetune
checkpoint=(--ckpt "${folders[0]:-runs/pretrain}")
for ((i = 0; i < ${#flags[@]}; i++)); do
    case ${flags[i]} in
        --save_root) save_root=${flags[i + 1]:-} ;;
        --save_root=*) save_root=${flags[i]#*=} ;;
        --nopretrain) # the random model has the size of the checkpoint, if there is one
            if [[ ! -e ${folders[0]:-} ]]; then checkpoint=(); fi ;;
        -h | --help) exec "$PYTHON" -m m2bert.finetune --help ;;
    esac
done

fine_tune() { # in a subshell, which becomes the training process
    exec "$PYTHON" -m m2bert.finetune \
        ${checkpoint[@]+"${checkpoint[@]}"} \
        --data_root "$note_data_root" "${folders[2]:-$note_data_root}" \
        ${flags[@]+"${flags[@]}"}
}

list_gpus() { # their numbers, separated by commas
    nvidia-smi --query-gpu=index --format=csv,noheader 2>/dev/null |
        grep -E '^[0-9]+$' | paste -s -d , - || true
}

status=0
if [[ $jobs == 1 ]]; then
    (fine_tune) || status=$?
else
    # The processes divide the trainings and the CPU's cores among themselves.
    cores=$(getconf _NPROCESSORS_ONLN)
    export OMP_NUM_THREADS=${OMP_NUM_THREADS:-$(((cores + jobs - 1) / jobs))} TQDM_DISABLE=1
    # Each has one of the GPUs, if there are any.
    IFS=, read -r -a gpus <<<"${CUDA_VISIBLE_DEVICES-$(list_gpus)}"
    processes=()
    trap 'kill "${processes[@]}" 2>/dev/null; wait; exit 130' INT TERM
    for ((i = 0; i < jobs; i++)); do
        if ((${#gpus[@]})); then export CUDA_VISIBLE_DEVICES=${gpus[i % ${#gpus[@]}]}; fi
        fine_tune &
        processes+=($!)
    done
    for process in "${processes[@]}"; do
        wait "$process" || status=$?
    done
fi
if ((status != 0 && status != 3)); then # 3: some tasks could not be trained, the others were
    exit "$status"
fi

"$PYTHON" -m m2bert.results "$save_root" || status=$?
exit "$status"
