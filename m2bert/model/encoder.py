"""The M2BERT encoder and its pre-training heads (docs/METHOD.md, "Model")."""

import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn
from transformers import ModernBertConfig, ModernBertModel

from m2bert.model import attention
from m2bert.model.config import EMBEDDING_WIDTH, LAST_LAYER, M2BertConfig
from m2bert.model.folder import ARCHITECTURES, ENCODER, SavedModel
from m2bert.model.vectors import embed
from m2bert.notes.cp import VOCABULARY_SIZES

BACKBONE_PREFIX = "backbone."
"""Prefix of the encoder's tensors in models with heads."""

# The first multi-threaded cos/sin of a process is off by up to 1.5e-4 on some of torch's CPU
# builds, and the first one in a run would be the rotary table. A throw-away call takes its place.
torch.linspace(0, 300, 64).cos()


class M2BertModel(SavedModel):
    """CP embedding and ModernBERT encoder. Submodules have the names of the published checkpoint's
    keys: `word_emb.{0..3}.lut`, `in_linear`, `note_bert1`."""

    def __init__(self, config: M2BertConfig):
        super().__init__(config)
        self.word_emb = nn.ModuleList(
            nn.ModuleDict({"lut": nn.Embedding(size, EMBEDDING_WIDTH)}) for size in VOCABULARY_SIZES
        )
        self.in_linear = nn.Linear(len(VOCABULARY_SIZES) * EMBEDDING_WIDTH, config.hidden_size)
        self.note_bert1 = ModernBertModel(encoder_config(config))
        # The original's heads read the residual stream before the final norm (docs/METHOD.md,
        # "Model"), so neither the norm nor the encoder's own vocabulary table is ever trained.
        self.note_bert1.final_norm = nn.Identity()  # type: ignore[assignment]  # no LayerNorm
        self.note_bert1.embeddings.tok_embeddings.weight.requires_grad_(False)

    @classmethod
    def from_pretrained(cls, folder: Path | str = ENCODER) -> Self:
        """As for the other models; without a folder, the bundled encoder."""
        return super().from_pretrained(folder)

    @classmethod
    def prefixes(cls) -> dict[str, str]:
        """Any model folder has an encoder, pre-trained or fine-tuned."""
        return dict.fromkeys(ARCHITECTURES, BACKBONE_PREFIX) | {cls.__name__: ""}

    def embed_tokens(self, notes: Tensor) -> Tensor:
        """CP notes (batch, notes, 4), any integer dtype -> (batch, notes, hidden_size)."""
        ids = notes.long()
        # to torch's types everything in a ModuleDict or ModuleList is a Module
        fields = [table["lut"](ids[..., i]) for i, table in enumerate(self.word_emb)]  # type: ignore[index]
        return self.in_linear(torch.cat(fields, dim=-1) * math.sqrt(EMBEDDING_WIDTH))

    def hidden_states(self, notes: Tensor, real: Tensor | None = None) -> Sequence[Tensor]:
        """All hidden states, each (batch, notes, hidden_size): the embeddings after their norm,
        then one per layer; the last is the residual stream before any final norm.

        real: (batch, notes) bool, the notes that may be attended to; None means all.
        """
        return self._encode(notes, real, output_hidden_states=True).hidden_states

    def forward(self, notes: Tensor, real: Tensor | None = None) -> Tensor:
        """The last of `hidden_states`, without keeping the others."""
        return self._encode(notes, real).last_hidden_state

    def layer_states(
        self, notes: Tensor, real: Tensor | None = None, index_layer: int = LAST_LAYER
    ) -> Tensor:
        """The hidden states of one layer, numbered as for `LAST_LAYER`."""
        if index_layer == LAST_LAYER:
            return self(notes, real)
        return self.hidden_states(notes, real)[index_layer - LAST_LAYER - 1]

    def embed(
        self,
        music: Any,
        level: str = "piece",
        index_layer: int = LAST_LAYER,
        transpositions: int = 1,
    ) -> Any:
        """The vectors of a song, or a list of those of several songs (`vectors.embed`)."""
        return embed(self, music, level, index_layer, transpositions)

    def _encode(self, notes: Tensor, real: Tensor | None, **kwargs):
        reach = self.config.local_attention // 2
        embedded = self.embed_tokens(notes)
        masks = attention.attention_masks(embedded, real, reach)
        return self.note_bert1(inputs_embeds=embedded, attention_mask=masks, **kwargs)


class M2BertForPreTraining(SavedModel):
    """The encoder with one linear head per CP field and one for the pianoroll. `mask_lm.proj` is
    the published checkpoint's name for the heads."""

    def __init__(self, config: M2BertConfig):
        super().__init__(config)
        self.backbone = M2BertModel(config)
        heads = (nn.Linear(config.hidden_size, size) for size in config.head_sizes)
        self.mask_lm = nn.ModuleDict({"proj": nn.ModuleList(heads)})

    def forward(self, notes: Tensor, real: Tensor | None = None) -> list[Tensor]:
        """CP notes (batch, notes, 4) -> one (batch, notes, outputs) tensor per head."""
        hidden = self.backbone(notes, real)
        return [head(hidden) for head in self.mask_lm["proj"]]  # type: ignore[attr-defined]  # as above


def encoder_config(config: M2BertConfig) -> ModernBertConfig:
    """transformers' configuration of the encoder, built without a hub."""
    ours = {"dropout", "pianoroll"}  # the other entries have transformers' names
    return ModernBertConfig(  # type: ignore[call-arg]  # what it takes by **kwargs
        **{name: value for name, value in asdict(config).items() if name not in ours},
        vocab_size=10,
        hidden_activation="gelu",
        norm_eps=1e-5,
        norm_bias=False,
        attention_bias=False,
        mlp_bias=False,
        attention_dropout=config.dropout,
        mlp_dropout=config.dropout,
        global_rope_theta=160000.0,
        local_rope_theta=10000.0,
        initializer_range=0.02,
        initializer_cutoff_factor=2.0,
        pad_token_id=None,
        bos_token_id=None,
        eos_token_id=None,
        cls_token_id=None,
        sep_token_id=None,
        attn_implementation=attention.NAME,
    )


def published_parameter_count(model: M2BertForPreTraining) -> int:
    """Parameters as the original counts them, with the final norm that ours lacks."""
    return sum(p.numel() for p in model.parameters()) + model.config.hidden_size


def training_flops_per_note(config: M2BertConfig, length: int) -> float:
    """Floating-point operations of forward and backward for one note of a `length`-note segment.

    Matrix products only; a local layer counts the keys inside its window; backward is twice
    forward. 421 million for the paper's model at 1024 notes.
    """
    width, inner, layers = config.hidden_size, config.intermediate_size, config.num_hidden_layers
    weights = layers * width * (3 * width + width + 2 * inner + inner)
    weights += len(VOCABULARY_SIZES) * EMBEDDING_WIDTH * width + width * sum(config.head_sizes)
    reach = min(config.local_attention // 2, length - 1)
    local_keys = 2 * reach + 1 - reach * (reach + 1) / length
    global_layers = math.ceil(layers / config.global_attn_every_n_layers)
    keys = global_layers * length + (layers - global_layers) * local_keys
    return 3 * (2 * weights + 4 * width * keys)
