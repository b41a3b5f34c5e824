"""The command `m2bert`: `m2bert annotate song.mid` is `python -m m2bert.annotate song.mid`."""

import runpy
import sys

from m2bert import __version__

COMMANDS = {
    "pretrain": "pre-train a model on corpora of CP notes",
    "finetune": "fine-tune a model on labelled notes and pieces",
    "results": "print the table of fine-tuned models, or compare models",
    "annotate": "label the notes of a MIDI file or score, and the piece",
    "learn": "learn labels of your own from labelled songs",
    "embed": "compute embeddings of MIDI files and scores",
    "checkpoint": "convert models to and from checkpoints of the original code",
}


def usage() -> str:
    lines = "\n".join(f"  {name:<12}{what}" for name, what in COMMANDS.items())
    hint = "`m2bert COMMAND --help` lists the arguments of a command."
    return f"usage: m2bert COMMAND [arguments]\n\n{lines}\n\n{hint}"


def main() -> None:
    """Run the command that the first argument names; only its modules are imported."""
    command, *arguments = sys.argv[1:] or ["--help"]
    if command in ("-h", "--help"):
        print(usage())
    elif command == "--version":
        print(__version__)
    elif command in COMMANDS:
        sys.argv[1:] = arguments
        runpy.run_module(f"m2bert.{command}", run_name="__main__", alter_sys=True)
    else:
        print(f"error: there is no command {command}\n{usage()}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
