"""What a plan has brought so far: RESULTS.md, results.json, and the files that they are made of."""

import math
import os
import platform
from statistics import fmean
from typing import Any

from m2bert.base.devices import choose_device
from m2bert.base.files import write_json, write_text
from m2bert.base.tables import Table, figure, markdown_text
from m2bert.finetuning.queue import device_name, versions
from m2bert.finetuning.result import RunKey
from m2bert.notes.cp import FIELDS
from m2bert.pretraining.curves import draw_curves
from m2bert.reproduce.plan import Plan
from m2bert.reproduce.progress import last_steps, progress
from m2bert.scores.published import PUBLISHED
from m2bert.scores.results import find_results, read_results
from m2bert.scores.table import score_rows
from m2bert.tasks import METRIC_TITLES

KEPT = ("settings.json", "log", "metrics.jsonl", "seed_*/*/result.json", "seed_*/*/log")
"""Files of a run of pre-training, or of the results of fine-tuning, that are carried along."""


def write_report(plan: Plan) -> list[dict]:
    """Bring RUNS_DIR/results/ up to date; returns the records of the table of trainings."""
    folder = plan.runs_dir / "results"
    for name in plan.objectives:
        for source in (plan.pretraining(name), plan.finetuning(name)):
            for file in (found for pattern in KEPT for found in source.glob(pattern)):
                target = folder / name / source.parent.name / file.relative_to(source)
                write_text(target, file.read_text(encoding="utf-8"))
        if history := plan.history(name):
            draw_curves(history, folder / name / "curves.png")
    scores, trainings = score_table(plan), training_table(plan)
    how: dict[str, Any] = {
        "preset": plan.preset,
        "recipe": plan.recipe,
        "datasets": " ".join(plan.datasets),
        "device": device_name(choose_device("--cpu" in plan.flags)),
        "machine": f"{platform.platform()}, {os.cpu_count()} cores",
        **versions(),
    }
    record = how | {"trainings": trainings.records, "scores": scores.records}
    write_json(folder / "results.json", record)
    facts = [f"- {name}: {value}" for name, value in how.items()]
    curves = [path.relative_to(folder) for path in sorted(folder.glob("*/curves.png"))]
    pictures = [f"\n![{path.parent}]({path})" for path in curves]
    text = [markdown_text(scores), markdown_text(trainings), "# How", "", *facts, *pictures, ""]
    write_text(folder / "RESULTS.md", "\n".join(text))
    return list(trainings.records)


def results_of(plan: Plan, objective: str) -> dict[RunKey, dict]:
    """The results that an objective has so far."""
    folder = plan.finetuning(objective)
    return read_results(folder) if find_results(folder) else {}


def score_table(plan: Plan) -> Table:
    """Tasks by objectives: means over the seeds that are complete."""
    scored = {
        name: {row["task"]: row for row in score_rows(results_of(plan, name))}
        for name in plan.objectives
    }
    records = []
    for task in plan.tasks:
        rows = {name: by_task[task.name] for name, by_task in scored.items()}
        commonest = (row["commonest"] for row in rows.values() if row["commonest"] is not None)
        records.append(
            {
                "task": task.name,
                "metric": task.metric,
                "commonest": next(commonest, None),
                **{name: row["mean"] for name, row in rows.items()},
                **{f"published_{model}": of.get(task.name) for model, of in PUBLISHED.items()},
                "seeds": [row["runs"] for row in rows.values()],
            }
        )
    titles = [name.replace("_", " ") for name in records[0]]
    cells = [
        [task.acronym, record["task"], METRIC_TITLES[record["metric"]]]
        + [figure(value, absent="-") for value in list(record.values())[2:-1]]
        + [" ".join(map(str, record["seeds"]))]
        for task, record in zip(plan.tasks, records, strict=True)
    ]
    notes = [
        "Means over complete seeds (how many of each objective: last column) of the test scores at "
        "the best validation epoch. The published ones are of the base preset, the whole data and "
        "the paper's recipe: others cannot be compared with them."
    ]
    return Table(f"Scores in {plan.runs_dir}", ["", *titles], cells, notes, records)


def training_table(plan: Plan) -> Table:
    """A row an objective: how far its trainings have come, how well and how fast."""
    cells, records = [], []
    for name, reached in progress(plan).items():
        last = max(plan.history(name), key=lambda epoch: epoch["epoch"], default={})
        steps = last_steps(plan, name) or {}
        speeds = [result["notes_per_second"] for result in results_of(plan, name).values()]
        record = {
            "objective": name,
            **reached,
            "valid_loss": last.get("valid_loss"),
            "valid_acc": last.get("valid_acc"),
            "pretraining_notes_per_second": steps.get("notes_per_second"),
            "share_of_peak": steps.get("share_of_peak"),
            "finetuning_notes_per_second": round(fmean(speeds), 1) if speeds else None,
        }
        records.append(record)
        shown = {
            "objective": name,
            "epochs": "{epochs:g} of {epochs_planned}".format(**reached),
            "loss": figure(record["valid_loss"], absent="-"),
            "accuracies": " ".join(map(figure, record["valid_acc"] or [])) or "-",
            "notes/s": rate(record["pretraining_notes_per_second"]),
            "share of peak": figure(record["share_of_peak"], absent="-"),
            "fine-tunings": "{trainings} of {trainings_planned}".format(**reached),
            "their notes/s": rate(record["finetuning_notes_per_second"]),
            "left": duration(reached["seconds_left"]),
        }
        cells.append(list(shown.values()))
    fields = ", ".join(field.lower() for field in FIELDS)
    notes = [f"loss, accuracies ({fields}; at changed notes): of the last epoch's validation"]
    return Table("Trainings", list(shown), cells, notes, records, texts=1)


def rate(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}"


def duration(seconds: float | None) -> str:
    """Seconds in words."""
    if seconds is None:
        return "unknown"
    hours, minutes = divmod(math.ceil(seconds / 60), 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min"
