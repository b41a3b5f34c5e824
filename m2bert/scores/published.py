"""The published scores of the benchmark (docs/METHOD.md, "Published results").

From the README of the original code, https://github.com/york135/M2BERT, where the rows of "rc" and
"nochroma" were added after the paper (https://arxiv.org/abs/2507.04776): three 12-layer models,
pre-trained on the reduced set of five corpora with different objectives, and fine-tuned on the
whole of each task's data. Scores are means over the seeds in `tasks.TASKS`. The models themselves
are not published: the published checkpoint is of a fourth one, pre-trained on all six corpora.
"""

# fmt: off
BENCHMARK_TASKS = (
    "genre", "beat", "downbeat", "chordroot", "localkey", "melody",
    "velocity", "texture", "composer", "emotion", "violin_all", "mnid",
)
"""The tasks of SMCBenchmark; others in `tasks.TASKS` are a user's own."""

_SCORES = {
    "rc":       (.404, .867, .779, .838, .791, .983, .534, .707, .740, .658, .511, .719),
    "nochroma": (.419, .869, .765, .840, .796, .981, .535, .703, .744, .674, .523, .724),
    "proposed": (.405, .867, .768, .847, .804, .982, .532, .725, .742, .667, .536, .718),
}
# fmt: on

PUBLISHED = {
    model: dict(zip(BENCHMARK_TASKS, scores, strict=True)) for model, scores in _SCORES.items()
}
"""Score by model and task. The models differ in what they were pre-trained to predict: "rc", token
correction alone; "nochroma", also the pianoroll without its chroma bins; "proposed", also the
pianoroll."""
