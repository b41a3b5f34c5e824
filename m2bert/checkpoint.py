"""Convert model folders to checkpoints of the original code, and the reverse.

python -m m2bert.checkpoint FOLDER OUT.ckpt      writes a checkpoint for the original's code
python -m m2bert.checkpoint IN.ckpt FOLDER       writes such a checkpoint as a model folder
python -m m2bert.checkpoint FOLDER OTHER --facts FACTS.json
                                                 writes a copy of half the size, to publish
"""

import argparse
from pathlib import Path

from m2bert.base.arguments import OVERWRITE, positive_int
from m2bert.base.errors import UserError, run_command
from m2bert.base.files import read_json
from m2bert.base.outputs import output_files
from m2bert.model.card import FACTS
from m2bert.model.encoder import M2BertForPreTraining
from m2bert.model.folder import MODEL_FILES, read_record, save_half, write_card
from m2bert.model.original import load_published, save_published
from m2bert.model.pretrained import find_checkpoint
from m2bert.scores.published import PUBLISHED


def write_published(folder: Path, out: Path, overwrite: bool) -> None:
    """Write a model folder as a `.ckpt`."""
    if out.is_dir():
        raise UserError(f"{out} is a folder: name a file for the checkpoint")
    with output_files(out.parent, [out.name], overwrite) as temporary:
        model = M2BertForPreTraining.from_pretrained(folder)
        save_published(temporary / out.name, model, read_record(folder))
    print(f"wrote {out} ({out.stat().st_size:,} bytes)")


def write_folder(source: Path, folder: Path, attention_heads: int | None, overwrite: bool) -> None:
    """Write a `.ckpt` as a model folder."""
    model, record = load_published(source, attention_heads)
    with output_files(folder, MODEL_FILES, overwrite) as temporary:
        model.save_pretrained(temporary, record | {"converted_from": source.name})
        write_card(temporary)
    config = model.config
    print(
        f"wrote {folder}: {config.num_hidden_layers} layers of width {config.hidden_size}, "
        f"{config.num_attention_heads} attention heads, pianoroll {config.pianoroll}"
    )


def write_half(source: Path, folder: Path, facts_file: Path, overwrite: bool) -> None:
    """Write a copy of a model in bfloat16, with the facts that `facts_file` has for its name."""
    facts = read_json(facts_file).get(folder.name)
    if not isinstance(facts, dict) or not facts.keys() >= set(FACTS):
        raise UserError(f"{facts_file} lacks {', '.join(FACTS)} of {folder.name}")
    score = PUBLISHED["proposed"].get(read_record(source).get("task", ""))
    with output_files(folder, MODEL_FILES, overwrite) as temporary:
        save_half(source, temporary, facts | ({"published_score": score} if score else {}))
        write_card(temporary)
    print(f"wrote {folder} ({sum(file.stat().st_size for file in folder.iterdir()):,} bytes)")


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m m2bert.checkpoint",
        description="Convert a model folder to a checkpoint for the original's code, or such a "
        "checkpoint to a model folder; with --facts, copy a model for publication.",
    )
    add = parser.add_argument
    add("source", type=Path, help="a model folder, e.g. SAVE_DIR/model_best, or a .ckpt")
    add(
        "out",
        type=Path,
        help="the .ckpt to write; if source is a .ckpt or with --facts, the model folder",
    )
    add(
        "--facts",
        type=Path,
        help="JSON file with licence and limits: write a copy in bfloat16 with a model card",
    )
    add(
        "--num_attention_heads",
        type=positive_int,
        help="attention heads of the .ckpt (default: one per 64 units of width)",
    )
    add("--overwrite", action="store_true", help=OVERWRITE)
    args = parser.parse_args()
    source = find_checkpoint(args.source)
    if source.is_dir() and args.num_attention_heads:
        parser.error("--num_attention_heads is for a .ckpt: a model folder has it")
    if args.facts and not source.is_dir():
        parser.error("--facts is for a model folder: convert the .ckpt first")
    if args.facts:
        write_half(source, args.out, args.facts, args.overwrite)
    elif source.is_dir():
        write_published(source, args.out, args.overwrite)
    else:
        write_folder(source, args.out, args.num_attention_heads, args.overwrite)


if __name__ == "__main__":
    run_command(main)
