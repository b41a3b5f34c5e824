"""The losses and accuracies of a run over its epochs, as a picture."""

from pathlib import Path

from m2bert.base.files import replacing
from m2bert.base.pictures import save_figure
from m2bert.notes.cp import FIELDS


def draw_curves(history: list[dict], path: Path) -> None:
    """Draw the records of `metrics.epoch_record` to a PNG."""
    from matplotlib.figure import Figure  # here, as it is slow to import
    from matplotlib.ticker import MaxNLocator

    epochs = [record["epoch"] for record in history]
    figure = Figure(figsize=(10, 4), layout="constrained")
    losses, accuracies = figure.subplots(1, 2)
    marker = "o" if len(epochs) < 20 else None
    for part, style in (("train", "--"), ("valid", "-")):
        shown = [record[part] for record in history]
        loss = [metrics["loss"] for metrics in shown]
        losses.plot(epochs, loss, style, color="k", label=part, marker=marker)
        for index, field in enumerate(FIELDS):
            values = [metrics[f"{field.lower()}_acc"] for metrics in shown]
            label = field if part == "valid" else None
            accuracies.plot(epochs, values, style, color=f"C{index}", label=label, marker=marker)
    losses.set(ylabel="loss", title="Loss")
    accuracies.set(ylabel="accuracy at corrupted notes", title="Accuracy (dashed: training)")
    accuracies.set_ylim(0, 1.02)
    for axes in (losses, accuracies):
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        axes.legend()
    with replacing(path) as temporary:
        save_figure(figure, temporary)
