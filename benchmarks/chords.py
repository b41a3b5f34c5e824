"""How many chords are right, and what should a change of chord cost?

python -m benchmarks.chords --smc_dir SMC --augnet AUGNET

Decodes AugmentedNet's validation pieces (SMCBenchmark's arrays) with some weights of the sounding
notes and costs of a change: the fraction of notes with the right root, and the number of chords.
Then the test pieces whose annotations are below AUGNET (as for `data_creation`): the fraction of
the time in which root, triad, seventh chord and bass are right, with the annotated roots and with
those of the bundled model. As in mir_eval, "majmin" counts chords on a major or minor triad,
"sevenths" the qualities maj, min, 7, maj7 and min7.
"""

import argparse
from pathlib import Path

import numpy as np

from data_creation.benchmark.sources import augnet
from data_creation.benchmark.sources.pieces import read_table
from m2bert.annotation import chords
from m2bert.annotation.chords import QUALITIES, root_probabilities, semitones
from m2bert.base.errors import run_command
from m2bert.model.classifiers import NoteClassifier
from m2bert.model.folder import BUNDLED_MODELS
from m2bert.notes.cp import cp_notes_of_beats, order_by_onset
from m2bert.notes.object_arrays import read_labels, read_note_lists
from m2bert.tasks import TASKS, place_in_fifths

CLASSES = TASKS["chordroot"].classes
PITCH_CLASS = root_probabilities(np.eye(len(CLASSES)), CLASSES).argmax(1)
COLUMNS = ("j_offset", "s_measure", "a_root", "a_quality", "a_bass")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--smc_dir", type=Path, required=True)
    parser.add_argument("--augnet", type=Path, required=True)
    args = parser.parse_args()
    model = NoteClassifier.from_pretrained(BUNDLED_MODELS / "chordroot")
    files = [args.smc_dir / "downstream_note" / f for f in TASKS["chordroot"].file_names("valid")]
    items = zip(read_note_lists(files[0]), read_labels(files[1]), strict=True)
    valid = [(notes, PITCH_CLASS[label], predicted(model, notes)) for notes, label in items]
    for chords.SOUNDING_WEIGHT, cost in ((1, 3), (2, 3), (2, 5), (3, 5), (2, 4)):
        right, changes = [], 0
        for notes, root, probabilities in valid:
            found = chords_at(notes[:, 0], notes, probabilities, cost)
            right += [chord.root == its for chord, its in zip(found, root, strict=True)]
            changes += len(set(found))
        print(f"{chords.SOUNDING_WEIGHT} {cost}: {np.mean(right):.4f} right, {changes} chords")
    pieces = [p for p in augnet.pieces(args.augnet) if (args.augnet / p.files[0]).exists()]
    for name, its in (("annotated roots", None), ("the model's roots", model)):
        right, counted = np.sum([right_rows(args.augnet, p, its) for p in pieces], axis=0)
        scores = zip(("root", "majmin", "sevenths", "bass"), right / counted, strict=True)
        print(f"{name}:", ", ".join(f"{what} {score:.3f}" for what, score in scores))


def predicted(model: NoteClassifier, notes: np.ndarray) -> np.ndarray:
    order = order_by_onset(notes)
    (found,) = model.probabilities([cp_notes_of_beats(notes[order])], precision="fp32")
    return found[order.argsort()]


def chords_at(times, notes, probabilities, cost=chords.CHORD_CHANGE) -> list[chords.Chord]:
    """The decoded chord at each time."""
    onset, end, pitch = notes.T
    found = chords.decode_chords(onset, end, pitch.astype(int), probabilities, CLASSES, cost)
    place = np.searchsorted([chord.start for chord in found], times, side="right") - 1
    return [found[k] for k in np.maximum(place, 0)]


def right_rows(folder: Path, piece, model: NoteClassifier | None) -> np.ndarray:
    """How many rows of an annotation are right, and how many count, (2, 4)."""
    (item,) = augnet.read(folder, piece)
    time, measure, *names = read_table(folder / piece.files[0], COLUMNS, "\t")
    lines = augnet.bar_lines(np.array(time, float), np.array(measure, float))
    times = np.interp(np.array(time, float), lines, 4 * np.arange(len(lines)))  # bars of four beats
    annotated = np.eye(len(CLASSES))[item.labels["chordroot"]]
    found = chords_at(times, item.notes, predicted(model, item.notes) if model else annotated)
    counts = np.zeros((2, 4), int)
    for chord, root, quality, bass in zip(found, *names, strict=True):
        its, heard = (QUALITIES.get(of, ()) for of in (quality, chord.quality))
        root_right = chord.root == 7 * place_in_fifths(root)[0] % 12
        bass_right = (chord.root + semitones(chord.bass) - 7 * place_in_fifths(bass)[0]) % 12 == 0
        right = (root_right, root_right and its[:3] == heard[:3], root_right and its == heard)
        counted = (True, its[1:3] in (("3", "5"), ("b3", "5")))
        counted += (quality in ("maj", "min", "7", "maj7", "min7"), True)
        counts += np.array([np.logical_and((*right, bass_right), counted), counted])
    return counts


if __name__ == "__main__":
    run_command(main)
