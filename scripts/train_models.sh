#!/usr/bin/env bash
# Usage: bash scripts/train_models.sh [dataset_dir] [SMC_directory] [runs_dir]
#
# Retrains the bundled models (models/), which takes a day on two CPU cores:
#   dataset_dir    holds pop909_processed, openscore_lieder and openscore_quartets (default:
#                  dataset_dir)
#   SMC_directory  holds SMCBenchmark's arrays (default: SMC)
#   runs_dir       folder of the data and runs (default: runs/models)
# models/training_items.json lists the training items of chord roots, keys and beats by their index
# in the arrays (models/README.md describes them). The same command resumes an interrupted training.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
split_arguments 3 "$@"
dataset_dir=${folders[0]:-dataset_dir} smc=${folders[1]:-SMC} runs=${folders[2]:-runs/models}
models="$repository/models"

mkdir -p "$runs"
"$PYTHON" -m data_creation.prepare_pretrain --dataset pop909 --dataset_dir "$dataset_dir" \
    --output_dir "$runs/corpora"
"$PYTHON" -m data_creation.prepare_pretrain --dataset openscore_lieder openscore_quartets \
    --dataset_dir "$dataset_dir" --output_dir "$runs/corpora" --any_time_signature
"$PYTHON" -m data_creation.prepare_smc --dataset augnet emopia pop909 --smc_dir "$smc" \
    --output_dir "$runs/data" --items "$models/training_items.json"
# The unit of time is the median note of each performance, so other speeds of it are valid.
"$PYTHON" -m data_creation.prepare_smc --dataset pm2s --smc_dir "$smc" --output_dir "$runs/data" \
    --items "$models/training_items.json" --stretch 0.75 0.87 1.15 1.33 \
    --scores "$dataset_dir/openscore_lieder" "$dataset_dir/openscore_quartets"

# Excluded are the test songs of melody and velocity, and the scores with validation or test pieces
# of chord roots and keys.
(cd "$dataset_dir/pop909_processed" && find test -name '*.mid' | sort) > "$runs/excluded-tiny.txt"
cat "$runs/excluded-tiny.txt" "$models/held_out_scores.txt" > "$runs/excluded-small.txt"

# pretrain PRESET EPOCHS FLAGS
pretrain() {
    "$PYTHON" -m m2bert.pretrain --save_dir "$runs/encoder-$1" --data_root "$runs/corpora" \
        --exclude_songs "$runs/excluded-$1.txt" --preset "$1" --recipe small --epochs "$2" "${@:3}"
}
pretrain tiny 20 --datasets pop909
pretrain small 10 --datasets pop909 openscore_lieder openscore_quartets --pianoroll none
"$PYTHON" -m m2bert.checkpoint "$runs/encoder-tiny" "$models/encoder" --facts "$models/facts.json" \
    --overwrite

# train NAME START EPOCHS SEMITONES [FLAGS]: NAME is a task, or TASK_NUMBER for its other models;
# START is the folder of the encoder or of the run to start from
train() {
    "$PYTHON" -m m2bert.finetune --task "${1%_[0-9]}" --ckpt "$runs/$2" --data_root "$runs/data" \
        --save_root "$runs/$1" --recipe small --epochs "$3" --transpose "$4" --seed 2021 \
        --save_ckpt "${@:5}"
}

# train_model NAME START EPOCHS SEMITONES [FLAGS]: the same, and the model goes to models/NAME; for
# emotion, the run that is tested on fold 3 is used.
train_model() {
    train "$@"
    local task=${1%_[0-9]}
    local run="$runs/$1/seed_2021/$task"
    [[ $task == emotion ]] && run+=_fold_3
    "$PYTHON" -m m2bert.checkpoint "$run/model" "$models/$1" --facts "$models/facts.json" \
        --overwrite
}
train_model chordroot encoder-small 20 6 --dropout 0.1 --lr 1e-3
train_model localkey encoder-small 20 6 --dropout 0.1 --lr 1e-3
train melody_1 encoder-small 12 6 --dropout 0.1 --lr 1e-3
train_model melody melody_1/seed_2021/melody/model 16 6 --dropout 0.1 --lr 1e-3
train_model velocity encoder-tiny 8 0
train_model beat encoder-small 3 6 --last_class_weight 2.3 --lr 1e-3
train_model downbeat encoder-small 3 6 --last_class_weight 3.5 --lr 1e-3
train_model downbeat_2 encoder-tiny 3 6 --last_class_weight 3.5
train_model emotion encoder-small 8 3
