"""The songs whose vectors are the nearest to that of another song."""

import argparse
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from m2bert.base.devices import check_device, choose_device, enough_memory
from m2bert.base.errors import UserError, print_result, show_lines_at_once
from m2bert.base.files import read_json, why_unreadable
from m2bert.embedding.pipeline import load_encoder
from m2bert.model.transposition import OCTAVE
from m2bert.model.vectors import embed_songs
from m2bert.notes.reader import read_song
from m2bert.notes.tokens import cp_notes_of

SHOWN = 10


def print_nearest(args: argparse.Namespace) -> None:
    """Embed the song `--nearest` with the model and the settings of an npz of vectors, and print
    the files of that npz with the most similar vectors (`cosines`)."""
    show_lines_at_once(escape=True)
    (path,) = args.files
    files, vectors, record = read_vectors(path)
    notes = cp_notes_of(read_song(args.nearest))
    made_by, device = record["model"], choose_device(args.cpu)
    path_of_model = args.ckpt or Path(made_by["path"])
    backbone = load_encoder(path_of_model, args.preset, record["index_layer"])
    if backbone.sha256 != made_by["sha256"]:
        raise UserError(
            f"{path} has vectors of another model than {backbone.path} (SHA-256 "
            f"{made_by['sha256']}, not {backbone.sha256}): give their model as --ckpt"
        )
    check_device(device)
    with enough_memory("a smaller --batch_size needs less, and --cpu computes on the CPU"):
        ((vector,),) = embed_songs(
            backbone.model.to(device),
            [notes],
            index_layer=record["index_layer"],
            stride=record["stride"],
            transpositions=OCTAVE if record.get("any_key") else 1,
            batch_size=args.batch_size,
            precision=record["precision"],
        )
    similarity = cosines(vectors, vector)
    nearest = np.argsort(-similarity, kind="stable")[:SHOWN]
    print_result("\n".join(f"{similarity[i]:.3f}  {files[i]}" for i in nearest))


def read_vectors(path: Path) -> tuple[np.ndarray, np.ndarray, dict]:
    """The files of an npz of `m2bert.embed`, their vectors (songs, width), and its record."""
    try:
        with np.load(path, allow_pickle=False) as file:
            files, vectors = file["files"], file["vectors"]
    except (OSError, ValueError, KeyError, BadZipFile) as error:
        raise UserError(f"{path} cannot be read ({why_unreadable(path, error)})") from error
    record = read_json(path.with_suffix(".json"))
    if record.get("level") != "piece":
        raise UserError(
            f"{path.with_suffix('.json')} does not describe vectors of pieces: make them with "
            "python -m m2bert.embed FILES --out VECTORS.npz"
        )
    return files, vectors, record


def cosines(vectors: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """The cosine similarity of each vector to another, without their mean, which all songs have in
    common; (songs, width) and (width,) -> (songs,). Of a single song it is 0."""
    mean = vectors.mean(0)
    vectors, vector = vectors - mean, vector - mean
    lengths = np.linalg.norm(vectors, axis=1) * np.linalg.norm(vector)
    return vectors @ vector / np.maximum(lengths, 1e-9)
