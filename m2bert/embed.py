"""Vectors of your own music: MIDI files and a pre-trained model in, an npz of vectors out.

    python -m m2bert.embed FILES_OR_FOLDERS --ckpt runs/pretrain --out vectors.npz

This module is light: the processes that read files import it, and do without torch.
"""

from m2bert.errors import run_command


def main() -> None:
    from m2bert.embedding_run import embed_files  # here, as it imports torch

    embed_files()


if __name__ == "__main__":
    run_command(main)
