#!/usr/bin/env bash
# Usage: bash scripts/quickstart.sh [song.mid]
#
# If a MIDI file or score is given, labels it with the bundled models. Then runs all steps on
# synthetic music with the ordinary scripts: MIDI files -> corpora -> a pre-trained tiny model -> the
# benchmark's twelve tasks, with and without pre-training -> tables and a labelled song. Takes about
# six minutes on two CPU cores; a GPU is used if there is one. All outputs are in quickstart/ in the
# repository; a second call reuses them. .venv is created once.
set -euo pipefail
if [[ ${1:-} == -h || ${1:-} == --help ]]; then
    sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$0"
    exit
fi
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh" requirements.txt

if [[ $# -gt 0 ]]; then
    echo "== your song, labelled with the bundled models -> $repository/annotated"
    "$PYTHON" -m m2bert.annotate "$1" --out "$repository/annotated"
fi

cd "$repository"
work=quickstart

echo "== 1 of 7: demo music with labels -> $work/midi"
"$PYTHON" -m data_creation.demo --output_dir "$work/midi"

echo "== 2 of 7: MIDI -> corpora of CP notes -> $work/corpora"
bash scripts/prepare_pretrain_data.sh "$work/midi" "$work/midi/lmd_matched" "$work/corpora"

echo "== 3 of 7: pre-training of the tiny preset -> $work/pretrain"
# In epochs of a few steps, a background process (--num_workers) costs more time than it saves.
bash pretrain_full.sh "$work/pretrain" "$work/corpora" --preset tiny --epochs 50 \
    --max_seq_len 256 --lr 1e-3 --num_workers 0 --log_steps 110

echo "== 4 of 7: data of the twelve tasks -> $work/finetune_data"
bash scripts/prepare_smc_benckmark.sh "$work/midi/smc" "$work/finetune_data"

# One seed and few, small steps: enough to learn something.
fine_tune() {
    bash scripts/finetune_modernbert_script.sh "$work/pretrain" "$work/finetune_data" \
        "$work/finetune_data" --seed 2021 --epochs 3 --batch_size 2 --lr 1e-3 "$@"
}
echo "== 5 of 7: fine-tuning of the pre-trained model -> $work/finetune"
fine_tune --save_root "$work/finetune" --save_ckpt
echo "== 6 of 7: the same from random weights -> $work/finetune_scratch"
fine_tune --save_root "$work/finetune_scratch" --nopretrain

echo "== The effect of pre-training"
"$PYTHON" -m m2bert.results --compare "$work/finetune_scratch" "$work/finetune" --plot

echo "== 7 of 7: a song labelled with these models -> $work/annotated"
song=006
"$PYTHON" -m m2bert.annotate "$work/midi/pop909_processed/test/$song.mid" \
    --model "$work/finetune" --out "$work/annotated"

cat <<END

Outputs in $repository/$work:
  midi/               synthetic piano music in the published layouts; midi/smc/ has the labels
  corpora/            the same as CP notes, 4 bytes per note
  pretrain/           the run: model_best/, log, metrics.jsonl, curves.png
  finetune_data/      segments and labels of the twelve tasks
  finetune/           one result per run, results.md, comparison.md, plots/comparison.png
  finetune_scratch/   the same without pre-training
  annotated/          a song with labels: open annotated/$song.html in a browser

Next steps: run \`source .venv/bin/activate\` in $repository. Then pre-train on your music and
fine-tune on SMCBenchmark:
  python -m data_creation.prepare_pretrain --dataset mine --dataset_dir FOLDER --output_dir data/pretrain
  bash pretrain.sh runs/mine data/pretrain --datasets mine --preset tiny --recipe small
  bash scripts/prepare_smc_benckmark.sh SMC data/finetune
  bash scripts/finetune_modernbert_script.sh runs/mine data/finetune --recipe small
Or label your own song in half a minute, without training:
  python -m m2bert.annotate ${1:-your_song.mid}
The bundled models were trained on pop arrangements, scores and piano music. The labels are in
annotated/: a page (open annotated/$(basename "${1:-your_song.mid}" | sed 's/\.[^.]*$//').html), a picture, tables and MIDI files.
END
