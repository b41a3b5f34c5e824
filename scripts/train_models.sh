#!/usr/bin/env bash
# Usage: bash scripts/train_models.sh [dataset_dir] [SMC_directory] [runs_dir]
#
# Makes the models in models/ again, in half a day on two CPU cores:
#   dataset_dir    holds pop909_processed (default: dataset_dir)
#   SMC_directory  holds SMCBenchmark's arrays (default: SMC)
#   runs_dir       where data and trainings go (default: runs/models)
# models/training_items.json names the items that the models of chord roots, keys and beats are
# trained on, by their places in the arrays; models/README.md says which they are.
# Interrupted, the same command goes on.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
split_arguments 3 "$@"
dataset_dir=${folders[0]:-dataset_dir} smc=${folders[1]:-SMC} runs=${folders[2]:-runs/models}
models="$repository/models"

mkdir -p "$runs"
"$PYTHON" -m data_creation.prepare_pretrain --dataset pop909 --dataset_dir "$dataset_dir" \
    --output_dir "$runs/corpora"
"$PYTHON" -m data_creation.prepare_smc --dataset augnet emopia pop909 --smc_dir "$smc" \
    --output_dir "$runs/data" --items "$models/training_items.json"
# Beats are counted in median notes of each performance: copies of it may be slower and faster.
"$PYTHON" -m data_creation.prepare_smc --dataset pm2s --smc_dir "$smc" --output_dir "$runs/data" \
    --items "$models/training_items.json" --stretch 0.75 0.87 1.15 1.33

# The test songs of melody and velocity are not pre-trained on.
(cd "$dataset_dir/pop909_processed" && find test -name '*.mid' | sort) > "$runs/test_songs.txt"
"$PYTHON" -m m2bert.pretrain --save_dir "$runs/encoder" --data_root "$runs/corpora" \
    --datasets pop909 --exclude_songs "$runs/test_songs.txt" --preset tiny --recipe small \
    --epochs 20
"$PYTHON" -m m2bert.checkpoint "$runs/encoder" "$models/encoder" --facts "$models/facts.json" \
    --overwrite

# make_model TASK EPOCHS SEMITONES [FLAGS]: of emotion the training that is tested on fold 0 is kept.
make_model() {
    "$PYTHON" -m m2bert.finetune --task "$1" --ckpt "$runs/encoder" --data_root "$runs/data" \
        --save_root "$runs/$1" --recipe small --epochs "$2" --transpose "$3" --seed 2021 \
        --save_ckpt "${@:4}"
    local run="$runs/$1/seed_2021/$1"
    [[ $1 == emotion ]] && run+=_fold_0
    "$PYTHON" -m m2bert.checkpoint "$run/model" "$models/$1" --facts "$models/facts.json" \
    --overwrite
}
make_model melody 12 0
make_model velocity 8 0
make_model chordroot 30 6
make_model localkey 30 6
make_model beat 4 6 --last_class_weight 2.3
make_model downbeat 4 6 --last_class_weight 3.5
make_model emotion 8 3
