"""What a model is built from (docs/METHOD.md, "Model"). Pure data: no torch."""

from dataclasses import dataclass, fields, replace

from m2bert.notes.cp import PITCHES, POSITIONS_PER_BAR, VOCABULARY_SIZES

EMBEDDING_WIDTH = 256
LAST_LAYER = 12
"""The `index_layer` of the last layer of any model; 11 is the one before it."""

CHROMA_BINS = 12
PIANOROLL_BINS = {"full": CHROMA_BINS + PITCHES, "nochroma": PITCHES, "none": 0}
"""Bins of one row of the pianoroll, by the kind of pianoroll (`--pianoroll`)."""


@dataclass(frozen=True)
class M2BertConfig:
    """What a model is built from; the defaults are the paper's (`--preset base`).

    Every `global_attn_every_n_layers`-th layer is global, from layer 0 (layers 0, 3, 6 and 9 of
    the paper's 12): there a note attends to all notes of its segment. In the other layers, which
    are local, it attends to `local_attention` / 2 notes to either side: a window of 128 is 64
    before the note and 64 after it.
    """

    hidden_size: int = 768
    intermediate_size: int = 1152
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    local_attention: int = 128
    global_attn_every_n_layers: int = 3
    dropout: float = 0.1
    pianoroll: str = "full"

    def __post_init__(self) -> None:
        if self.hidden_size % (2 * self.num_attention_heads):
            raise ValueError(
                f"hidden_size {self.hidden_size} is not a multiple of twice the "
                f"{self.num_attention_heads} attention heads"
            )

    @property
    def pianoroll_width(self) -> int:
        """Outputs of the pianoroll head: a bar of 16 rows and the row of the note's own slot."""
        return (POSITIONS_PER_BAR + 1) * PIANOROLL_BINS[self.pianoroll]

    @property
    def head_sizes(self) -> tuple[int, ...]:
        """Outputs of each pre-training head, pianoroll last if there is one."""
        pianoroll = (self.pianoroll_width,) if self.pianoroll_width else ()
        return VOCABULARY_SIZES + pianoroll


PRESETS = {
    "base": M2BertConfig(),
    "tiny": M2BertConfig(
        hidden_size=128,
        intermediate_size=192,
        num_hidden_layers=4,
        num_attention_heads=2,
        dropout=0.0,
    ),
    "small": M2BertConfig(
        hidden_size=256,
        intermediate_size=384,
        num_hidden_layers=4,
        num_attention_heads=4,
        dropout=0.0,
    ),
}


def config_from(entries: dict) -> M2BertConfig:
    """The configuration among the entries of a `config.json`, with all of its fields."""
    return M2BertConfig(**{field.name: entries[field.name] for field in fields(M2BertConfig)})


def preset(name: str, pianoroll: str = "full") -> M2BertConfig:
    """Return the configuration called `name` with the chosen pianoroll objective."""
    return replace(PRESETS[name], pianoroll=pianoroll)


def with_dropout(config: M2BertConfig, dropout: float | None) -> M2BertConfig:
    """The configuration with another dropout; None leaves it unchanged."""
    return config if dropout is None else replace(config, dropout=dropout)


def check_index_layer(config: M2BertConfig, index_layer: int) -> None:
    """Raise `ValueError` if a model of this configuration has no such layer."""
    lowest = LAST_LAYER - config.num_hidden_layers
    if not lowest <= index_layer <= LAST_LAYER:
        raise ValueError(
            f"index_layer {index_layer} is not in {lowest}..{LAST_LAYER}: a model of "
            f"{config.num_hidden_layers} layers has the embeddings as {lowest} and its last layer "
            f"as {LAST_LAYER}"
        )
