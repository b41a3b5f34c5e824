#!/usr/bin/env bash
# Usage: bash scripts/reproduce.sh [dataset_dir] [SMC_directory] [runs_dir] [flags]
#
# The whole study: prepares the data, pre-trains a model with each objective, fine-tunes each on all
# tasks, and writes the table of all objectives to runs_dir/results. The same call resumes.
#   dataset_dir    holds pop909_processed, EMOPIA_1.0, ... (default: dataset_dir)
#   SMC_directory  holds downstream_note and downstream_seq (default: SMC)
#   runs_dir       folder of all outputs (default: runs/reproduce)
# Further flags go to both `python -m m2bert.pretrain` and `python -m m2bert.finetune`. Variables:
#   OBJECTIVES      a subset of "proposed rc nochroma mlm scratch" (default: all)
#   DATASETS        the corpora (default: "pop909 pianist8 pop1k7 ASAP emopia")
#   PRETRAIN_FLAGS  flags of pre-training only
#   FINETUNE_FLAGS  flags of fine-tuning only
#   MINUTES         time limit, after which the script ends with exit status 124
# docs/reproduce.md lists the exit statuses.
set -euo pipefail
# `timeout` sends SIGTERM to all processes of the script; 0 minutes mean no limit.
if [[ -z ${within_timeout:-} ]]; then
    within_timeout=1 exec timeout "${MINUTES:-0}m" bash "$0" "$@"
fi
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
split_arguments 3 "$@"
runs=${folders[2]:-runs/reproduce} smc=${folders[1]:-SMC}
all_objectives="proposed rc nochroma mlm scratch"
read -r -a objectives <<<"${OBJECTIVES:-$all_objectives}"
read -r -a datasets <<<"${DATASETS:-pop909 pianist8 pop1k7 ASAP emopia}"
read -r -a pretrain_flags <<<"${PRETRAIN_FLAGS:-}"
read -r -a finetune_flags <<<"${FINETUNE_FLAGS:-}"
status=0

for objective in "${objectives[@]}"; do
    if [[ " $all_objectives " != *" $objective "* ]]; then
        echo "error: there is no objective $objective; OBJECTIVES are some of $all_objectives" >&2
        exit 2
    fi
done

run() {
    printf '\n$ python -m %s\n' "$*"
    "$PYTHON" -m "$@"
}

pretrain() { # OBJECTIVE [FLAGS]
    run m2bert.pretrain --save_dir "$runs/pretrain/$1" --data_root "$runs/corpora" \
        --datasets "${datasets[@]}" "${@:2}" ${flags[@]+"${flags[@]}"} \
        ${pretrain_flags[@]+"${pretrain_flags[@]}"}
}

finetune() { # OBJECTIVE [FLAGS]; status 3 (some tasks failed) does not end the script
    local start=(--ckpt "$runs/pretrain/$1")
    if [[ $1 == scratch ]]; then start=(--nopretrain); fi
    run m2bert.finetune --save_root "$runs/finetune/$1" "${start[@]}" \
        --data_root "$runs/finetune_data" "${@:2}" ${flags[@]+"${flags[@]}"} \
        ${finetune_flags[@]+"${finetune_flags[@]}"} || status=$?
    if ((status != 0 && status != 3)); then exit "$status"; fi
}

collect() { # the results of each objective in one file, their table, and logs of pre-training
    local objective file files columns=()
    shopt -s nullglob
    mkdir -p "$runs/results"
    for objective in $all_objectives; do
        for file in "$runs/pretrain/$objective"/{log*,metrics.json*,curves.pn*}; do
            cp "$file" "$runs/results/${objective}_${file##*/}"
        done
        files=("$runs/finetune/$objective"/seed_*/*/result.json)
        if ((${#files[@]} == 0)); then continue; fi
        columns+=("$runs/results/$objective.jsonl")
        for file in "${files[@]}"; do
            tr -d '\n' <"$file"
            echo
        done >"$runs/results/$objective.jsonl"
    done
    if ((${#columns[@]})); then
        "$PYTHON" -m m2bert.results "${columns[@]}" --save_dir "$runs/results"
    fi
}
# A signal reaches a command, too; bash runs the trap when the command has saved its work and ended.
trap 'exit 143' TERM
trap 'exit 130' INT
trap 'collect || true' EXIT

if [[ ${objectives[*]} != scratch ]]; then
    run data_creation.prepare_pretrain --dataset_dir "${folders[0]:-dataset_dir}" \
        --output_dir "$runs/corpora" --dataset "${datasets[@]}"
fi
if [[ -d $smc || ! -d $runs/finetune_data ]]; then # tasks without data are omitted
    run data_creation.prepare_smc --smc_dir "$smc" --output_dir "$runs/finetune_data" || status=3
fi

for objective in "${objectives[@]}"; do
    case $objective in
        proposed) pretrain proposed ;;
        rc) pretrain rc --pianoroll none ;;
        nochroma) pretrain nochroma --pianoroll nochroma ;;
        mlm) pretrain mlm --corruption mlm --mask_percent 0.15 --pianoroll none ;;
        scratch) ;;
    esac
    finetune "$objective" --seed 2021
done
for objective in "${objectives[@]}"; do # the other seeds of the benchmark's policy
    finetune "$objective"
done
exit "$status"
