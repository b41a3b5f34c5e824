#!/usr/bin/env bash
# Usage: bash scripts/quickstart.sh
#
# Sets up .venv (once), then does the main job on synthetic music with the ordinary scripts: MIDI
# files -> corpora -> a pre-trained tiny model. A few minutes on two CPU cores; a GPU is used when
# there is one. Everything goes to quickstart/ in the repository; a second run reuses what is there.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh" requirements.txt

cd "$repository"
work=quickstart

echo "== 1 of 3: demo music -> $work/midi"
"$PYTHON" -m data_creation.demo --output_dir "$work/midi"

echo "== 2 of 3: MIDI -> corpora of CP notes -> $work/corpora"
bash scripts/prepare_pretrain_data.sh "$work/midi" "$work/midi/lmd_matched" "$work/corpora"

echo "== 3 of 3: pre-training of the tiny preset -> $work/pretrain"
# Epochs of a few steps are not worth a process that reads ahead (--num_workers).
bash pretrain_full.sh "$work/pretrain" "$work/corpora" --preset tiny --epochs 50 \
    --max_seq_len 256 --lr 1e-3 --num_workers 0 --log_steps 110

cat <<END

Made in $repository/$work:
  midi/       synthetic piano music in the layouts of the six published corpora
  corpora/    the same as CP notes, 4 bytes a note
  pretrain/   the run: model_best/, log, metrics.jsonl, curves.png
Next, with your own folder of MIDI files:
  source .venv/bin/activate
  python -m data_creation.prepare_pretrain --dataset mine --dataset_dir FOLDER --output_dir data/pretrain
  bash pretrain.sh runs/mine data/pretrain --datasets mine --preset tiny
END
