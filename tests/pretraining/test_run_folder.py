"""The lines of figures that a run goes on from."""

import json
import tracemalloc

from m2bert.pretraining.run_folder import Progress, RunFolder


def write_lines(path, steps, epochs):
    """Lines of figures as a run leaves them, the last one torn."""
    lines = [{"kind": "steps", "step": step, "loss": step / 7} for step in steps]
    lines += [{"kind": "epoch", "step": step, "score": -1.0} for step in epochs]
    lines.sort(key=lambda line: (line["step"], line["kind"] == "epoch"))
    path.write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"kind": "ste')


def test_figures_go_on_where_the_state_is(tmp_path):
    metrics = tmp_path / "metrics.jsonl"
    write_lines(metrics, steps=range(50, 500, 50), epochs=[100, 225, 400])
    history = [{"step": 100, "score": 0.5}, {"step": 225, "score": 0.6}]
    history = [
        record | dict.fromkeys(("epoch", "train_loss", "train_acc", "valid_loss", "valid_acc"), 1)
        for record in history
    ]
    RunFolder(tmp_path, {}).begin(Progress(epoch=3, epoch_step=75, steps=300, history=history))
    lines = [json.loads(line) for line in metrics.read_text().splitlines()]
    order = [(line["step"], line["kind"]) for line in lines]
    steps = [(step, "steps") for step in range(50, 301, 50)]
    assert order == [*steps[:2], (100, "epoch"), *steps[2:4], (225, "epoch"), *steps[4:]]
    assert [line for line in lines if line["kind"] == "epoch"] == [
        {"kind": "epoch", **record} for record in history
    ]
    assert all(line["loss"] == line["step"] / 7 for line in lines if line["kind"] == "steps")


def test_going_on_after_many_lines_of_figures_takes_no_memory(tmp_path):
    metrics = tmp_path / "metrics.jsonl"
    write_lines(metrics, steps=range(20_000), epochs=[])
    folder = RunFolder(tmp_path, {})
    folder.begin(Progress(steps=20_000))  # imports what it needs
    size = metrics.stat().st_size
    tracemalloc.start()
    try:
        folder.begin(Progress(steps=20_000))
        assert tracemalloc.get_traced_memory()[1] < size / 4
    finally:
        tracemalloc.stop()
    assert metrics.stat().st_size == size
