"""Convert model folders to checkpoints of the original code, and the reverse.

python -m m2bert.checkpoint FOLDER OUT.ckpt      writes a checkpoint for the original's code
python -m m2bert.checkpoint IN.ckpt FOLDER       writes such a checkpoint as a model folder
"""

import argparse
from pathlib import Path

from m2bert.base.arguments import count
from m2bert.base.errors import UserError, run_command
from m2bert.model.encoder import M2BertForPreTraining
from m2bert.model.folder import CONFIG_FILE, read_record
from m2bert.model.original import convert_published, save_published
from m2bert.model.pretrained import find_checkpoint


def write_published(folder: Path, out: Path) -> None:
    """Write a model folder as a `.ckpt`."""
    if out.is_dir():
        raise UserError(f"{out} is a folder: name a file for the checkpoint")
    save_published(out, M2BertForPreTraining.from_pretrained(folder), read_record(folder))
    print(f"wrote {out} ({out.stat().st_size:,} bytes)")


def write_folder(source: Path, folder: Path, attention_heads: int | None) -> None:
    """Write a `.ckpt` as a model folder."""
    model, figures = convert_published(source, attention_heads)
    model.save_pretrained(folder, figures | {"converted_from": source.name})
    config = model.config
    print(
        f"wrote {folder}: {config.num_hidden_layers} layers of width {config.hidden_size}, "
        f"{config.num_attention_heads} attention heads, pianoroll {config.pianoroll}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m m2bert.checkpoint",
        description="Write a pre-trained model as a checkpoint that the original's code loads, or "
        "such a checkpoint as a model folder.",
    )
    add = parser.add_argument
    add("source", type=Path, help="a model folder, e.g. SAVE_DIR/model_best, or a .ckpt")
    add("out", type=Path, help="the .ckpt to write, or of a .ckpt the model folder")
    add("--num_attention_heads", type=count, help="of a .ckpt (that of the preset of its size)")
    args = parser.parse_args()
    source = find_checkpoint(args.source)
    if source.is_dir():
        if args.num_attention_heads:
            parser.error(f"--num_attention_heads is for a .ckpt: {CONFIG_FILE} says it here")
        write_published(source, args.out)
    else:
        write_folder(source, args.out, args.num_attention_heads)


if __name__ == "__main__":
    run_command(main)
