"""The published scores of the benchmark (docs/METHOD.md, "Published results").

They are means over the seeds in `tasks.TASKS`. The models are not published; the published
checkpoint is of another one, pre-trained on all six corpora.
"""

# fmt: off
BENCHMARK_TASKS = (
    "genre", "beat", "downbeat", "chordroot", "localkey", "melody",
    "velocity", "texture", "composer", "emotion", "violin_all", "mnid",
)
"""The tasks of SMCBenchmark; `tasks.TASKS` may also have a user's own."""

_SCORES = {
    "rc":       (.404, .867, .779, .838, .791, .983, .534, .707, .740, .658, .511, .719),
    "nochroma": (.419, .869, .765, .840, .796, .981, .535, .703, .744, .674, .523, .724),
    "proposed": (.405, .867, .768, .847, .804, .982, .532, .725, .742, .667, .536, .718),
}
# fmt: on

PUBLISHED = {
    model: dict(zip(BENCHMARK_TASKS, scores, strict=True)) for model, scores in _SCORES.items()
}
"""Score by model and task. "rc": pre-trained by token correction alone; "nochroma": also by the
pianoroll without its chroma bins; "proposed": also by the pianoroll."""
