"""What a plan has brought so far: RESULTS.md, results.json, and the files that they are made of."""

import math
import os
import platform
import shutil
from dataclasses import replace
from statistics import fmean

from m2bert.base.devices import choose_device
from m2bert.base.files import replacing, write_json, write_text
from m2bert.base.tables import Table, figure, markdown_text
from m2bert.finetuning.run import device_name, versions
from m2bert.notes.cp import FIELDS
from m2bert.pretraining.curves import draw_curves
from m2bert.reproduce.plan import OBJECTIVES, Plan
from m2bert.reproduce.progress import Reached, progress, read_reached
from m2bert.scores.published import PUBLISHED
from m2bert.scores.table import score_rows
from m2bert.tasks import METRIC_TITLES, TASKS

KEPT = ("settings.json", "log", "metrics.jsonl", "seed_*/*/result.json", "seed_*/*/log")
"""Files of a run of pre-training, or of the results of fine-tuning, that are carried along."""


def write_report(plan: Plan) -> list[dict]:
    """Bring RUNS_DIR/results/ up to date, also with what earlier commands have made there; returns
    the records of the table of trainings."""
    folder = plan.runs_dir / "results"
    plan, reached = with_earlier(plan)
    for name, found in reached.items():
        for source in (plan.pretraining(name), plan.finetuning(name)):
            for file in (path for pattern in KEPT for path in source.glob(pattern)):
                target = folder / name / source.parent.name / file.relative_to(source)
                with replacing(target) as temporary:
                    shutil.copyfile(file, temporary)
        if found.epochs:
            draw_curves(found.epochs, folder / name / "curves.png")
    scores, trainings = score_table(plan, reached), training_table(plan, reached)
    how = {
        "preset": plan.preset,
        "recipe": plan.recipe,
        "datasets": " ".join(plan.datasets),
        "device": device_name(choose_device("--cpu" in plan.flags)),
        "machine": f"{platform.platform()}, {os.cpu_count()} cores",
        **versions(),
    }
    finished = all(map(plan.is_finished, plan.stages()))
    tables = {"trainings": trainings.records, "scores": scores.records}
    write_json(folder / "results.json", how | {"finished": finished} | tables)
    facts = [f"- {name}: {value}" for name, value in how.items()]
    curves = [path.relative_to(folder) for path in sorted(folder.glob("*/curves.png"))]
    pictures = [f"\n![{path.parent}]({path})" for path in curves]
    text = [markdown_text(scores), markdown_text(trainings), "# How", "", *facts, *pictures, ""]
    write_text(folder / "RESULTS.md", "\n".join(text))
    return list(trainings.records)


def with_earlier(plan: Plan) -> tuple[Plan, dict[str, Reached]]:
    """The plan, extended by all objectives and tasks that its folder has results of; and what it
    has of each objective."""
    found = {name: read_reached(plan, name) for name in OBJECTIVES}
    reached = {n: r for n, r in found.items() if n in plan.objectives or r.steps or r.results}
    tested = {run.task for of in reached.values() for run in of.results}
    wanted = [task for task in TASKS.values() if task in plan.wanted or task.name in tested]
    return replace(plan, objectives=list(reached), wanted=wanted), reached


def score_table(plan: Plan, reached: dict[str, Reached]) -> Table:
    """Tasks by objectives: means over the seeds that are complete."""
    scored = {
        name: {row["task"]: row for row in score_rows(found.results)}
        for name, found in reached.items()
    }
    cells, records = [], []
    for task in plan.tasks:
        rows = {name: by_task[task.name] for name, by_task in scored.items()}
        commonest = (row["commonest"] for row in rows.values() if row["commonest"] is not None)
        figures = {
            "commonest": next(commonest, None),
            **{name: row["mean"] for name, row in rows.items()},
            **{f"published {model}": of.get(task.name) for model, of in PUBLISHED.items()},
        }
        seeds = [row["runs"] for row in rows.values()]
        records.append({"task": task.name, "metric": task.metric, **figures, "seeds": seeds})
        shown = [figure(value, absent="-") for value in figures.values()]
        names = [task.acronym, task.name, METRIC_TITLES[task.metric]]
        cells.append([*names, *shown, " ".join(map(str, seeds))])
    notes = [
        "Means over complete seeds (how many of each objective: last column) of the test scores at "
        "the best validation epoch. The published ones are of the base preset, the whole data and "
        "the paper's recipe: others cannot be compared with them."
    ]
    return Table(f"Scores in {plan.runs_dir}", ["", *records[0]], cells, notes, records)


def training_table(plan: Plan, reached: dict[str, Reached]) -> Table:
    """A row an objective: how far its trainings have come, how well and how fast."""
    cells, records = [], []
    for name, row in progress(plan, reached).items():
        epochs, steps, results = reached[name]
        last = epochs[-1] if epochs else {}
        speeds = [result["notes_per_second"] for result in results.values()]
        record = {
            "objective": name,
            **row,
            "valid_loss": last.get("valid_loss"),
            "valid_acc": last.get("valid_acc"),
            "pretraining_notes_per_second": steps.get("notes_per_second"),
            "share_of_peak": steps.get("share_of_peak"),
            "finetuning_notes_per_second": round(fmean(speeds), 1) if speeds else None,
        }
        records.append(record)
        shown = {
            "objective": name,
            "epochs": "{epochs:g} of {epochs_planned}".format(**row),
            "loss": figure(record["valid_loss"], absent="-"),
            "accuracies": " ".join(map(figure, record["valid_acc"] or [])) or "-",
            "notes/s": rate(record["pretraining_notes_per_second"]),
            "share of peak": figure(record["share_of_peak"], absent="-"),
            "fine-tunings": "{trainings} of {trainings_planned}".format(**row),
            "their notes/s": rate(record["finetuning_notes_per_second"]),
            "left": duration(row["seconds_left"]),
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
