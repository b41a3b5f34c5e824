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
    settings = {"preset": plan.preset, "recipe": plan.recipe, "epochs": plan.epochs}
    record: dict[str, Any] = {
        "settings": settings | {"datasets": ", ".join(plan.datasets)},
        "machine": machine("--cpu" in plan.flags),
        "versions": versions(),
        "trainings": trainings.records,
        "scores": scores.records,
    }
    write_json(folder / "results.json", record)
    facts = [
        f"- {name}: " + ", ".join(f"{key} {value}" for key, value in record[name].items())
        for name in ("settings", "machine", "versions")
    ]
    curves = sorted(folder.glob("*/curves.png"))
    pictures = [f"\n![{path.parent.name}]({path.relative_to(folder)})" for path in curves]
    text = [markdown_text(scores), markdown_text(trainings), "# How", "", *facts, *pictures, ""]
    write_text(folder / "RESULTS.md", "\n".join(text))
    return list(trainings.records)


def machine(cpu: bool) -> dict:
    """What the figures were computed on."""
    device = choose_device(cpu)
    return {
        "device": device_name(device),
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "system": platform.system(),
    }


def score_table(plan: Plan) -> Table:
    """Tasks by objectives: means over the seeds that are complete."""
    tables = {}
    for name in plan.objectives:
        folder = plan.finetuning(name)
        scored = score_rows(read_results(folder) if find_results(folder) else {})
        tables[name] = {row["task"]: row for row in scored}
    cells, records = [], []
    for task in plan.tasks:
        rows = {name: table[task.name] for name, table in tables.items()}
        commonest = (row["commonest"] for row in rows.values())
        record = {
            **{key: rows[plan.objectives[0]][key] for key in ("acronym", "task", "metric")},
            "commonest": next((score for score in commonest if score is not None), None),
            **{name: row["mean"] for name, row in rows.items()},
            **{f"{name}_seeds": row["runs"] for name, row in rows.items()},
            **{f"published_{model}": of.get(task.name) for model, of in PUBLISHED.items()},
        }
        records.append(record)
        figures = ["commonest", *plan.objectives, *(f"published_{model}" for model in PUBLISHED)]
        cells.append(
            [task.acronym, task.name, METRIC_TITLES[task.metric]]
            + [figure(record[name], absent="-") for name in figures]
            + [" ".join(str(record[f"{name}_seeds"]) for name in plan.objectives)]
        )
    published = [f"published\n{model}" for model in PUBLISHED]
    titles = ["", "task", "metric", "commonest\nclass", *plan.objectives, *published, "seeds"]
    notes = [
        "Means over complete seeds (how many of each objective: last column) of the test scores at "
        "the best validation epoch. The published ones are of the base preset, the whole data and "
        "the paper's recipe: others cannot be compared with them."
    ]
    return Table(f"Scores in {plan.runs_dir}", titles, cells, notes, records)


def training_table(plan: Plan) -> Table:
    """A row an objective: how far its trainings have come, how well and how fast."""
    titles = ["objective", "epochs", "loss", *(f"{field} acc" for field in FIELDS)]
    titles += ["notes/s", "share of\npeak", "fine-tunings", "notes/s", "left"]
    cells, records = [], []
    for name, reached in progress(plan).items():
        last = max(plan.history(name), key=lambda epoch: epoch["epoch"], default={})
        steps = last_steps(plan, name) or {}
        folder = plan.finetuning(name)
        results = read_results(folder).values() if find_results(folder) else []
        speeds = [result["notes_per_second"] for result in results]
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
        accuracies = record["valid_acc"] or [None] * len(FIELDS)
        cells.append(
            [
                name,
                "{epochs:g} of {epochs_planned}".format(**reached),
                *(figure(value, absent="-") for value in (record["valid_loss"], *accuracies)),
                rate(record["pretraining_notes_per_second"]),
                figure(record["share_of_peak"], absent="-"),
                "{trainings} of {trainings_planned}".format(**reached),
                rate(record["finetuning_notes_per_second"]),
                duration(reached["seconds_left"]),
            ]
        )
    notes = ["losses and accuracies: of the last epoch's validation, accuracies at changed notes"]
    return Table("Trainings", titles, cells, notes, records, texts=1)


def rate(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}"


def duration(seconds: float | None) -> str:
    """Seconds in words."""
    if seconds is None:
        return "unknown"
    hours, minutes = divmod(math.ceil(seconds / 60), 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min"
