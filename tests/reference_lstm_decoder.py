"""A step-by-step LSTM decoder, written from the equations: the reference for its clamps.

One sentence at a time, one step at a time, gate by gate; no batches, no caches, no fused kernels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Held:
    """Neurons of one layer at a value."""

    units: list[int]
    value: float
    scope: str

    def inside(self, h: Tensor) -> Tensor:
        return self._set(h) if self.scope in ("recurrent", "full") else h

    def outside(self, h: Tensor) -> Tensor:
        return self._set(h) if self.scope == "output" else h

    def memory(self, c: Tensor) -> Tensor:
        if self.scope != "full":
            return c
        c = c.clone()
        c[self.units] = 0.0
        return c

    def _set(self, h: Tensor) -> Tensor:
        h = h.clone()
        h[self.units] = self.value
        return h


NOTHING = Held([], 0.0, "recurrent")


@dataclass
class Outputs:
    """Rows of one sentence: each layer's, the attention's, and the logits, ``[length, width]``."""

    layers: dict[str, Tensor] = field(default_factory=dict)
    logits: Tensor | None = None


def cell(weights: Any, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """The LSTM equations; gates in torch's order."""
    gates = weights.weight_ih @ x + weights.bias_ih + weights.weight_hh @ h + weights.bias_hh
    i, f, g, o = gates.chunk(4)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    return o.sigmoid() * c.tanh(), c


def attend(layer: Any, h: Tensor, source: Tensor) -> Tensor:
    """Luong attention: ``tanh(W_o [context; h])``."""
    query = layer.input_proj.weight @ h
    context = (source @ query).softmax(0) @ source
    return (layer.output_proj.weight @ torch.cat([context, h])).tanh()


def run_decoder(
    decoder: Any,
    tokens: Tensor,
    held: Mapping[str, Held],
    source: Tensor | None = None,
    hidden: Tensor | None = None,
    memory: Tensor | None = None,
) -> Outputs:
    """One sentence ``[length]`` of previous output tokens.

    Args:
        decoder: a fairseq `LSTMDecoder`.
        tokens: what the decoder reads.
        held: by layer name.
        source: the encoder's last layer, ``[source, width]``; None in a language model.
        hidden: the encoder's final hidden states, ``[layers, width]``.
        memory: likewise cell states.
    """
    depth, size = len(decoder.layers), decoder.hidden_size
    clamps = [held.get(f"decoder.layers.{n}", NOTHING) for n in range(depth)]
    on_attention = held.get("decoder.attention", NOTHING)
    hs = [torch.zeros(size)] * depth if hidden is None else list(hidden)
    cs = [torch.zeros(size)] * depth if memory is None else list(memory)
    if hidden is not None and decoder.encoder_hidden_proj is not None:
        hs = [decoder.encoder_hidden_proj(h) for h in hs]
        cs = [decoder.encoder_cell_proj(c) for c in cs]
    hs = [clamp.inside(h) for clamp, h in zip(clamps, hs, strict=True)]
    cs = [clamp.memory(c) for clamp, c in zip(clamps, cs, strict=True)]
    fed_back = None if source is None else torch.zeros(size)
    if fed_back is not None and decoder.attention is not None:
        fed_back = on_attention.inside(fed_back)
    rows: dict[str, list[Tensor]] = {f"decoder.layers.{n}": [] for n in range(depth)}
    rows["decoder.attention"] = []
    finals = []
    for token in tokens:
        x = decoder.embed_tokens.weight[token]
        if fed_back is not None:
            x = torch.cat([x, fed_back])
        for n, clamp in enumerate(clamps):
            before = hs[n]
            h, c = cell(decoder.layers[n], x, hs[n], cs[n])
            hs[n], cs[n] = clamp.inside(h), clamp.memory(c)
            x = clamp.outside(hs[n])
            rows[f"decoder.layers.{n}"].append(x)
            out = x
            if decoder.residuals:
                x = x + clamp.outside(before)
        if source is not None and decoder.attention is not None:
            out = on_attention.inside(attend(decoder.attention, out, source))
        if fed_back is not None:
            fed_back = out
        out = on_attention.outside(out)
        rows["decoder.attention"].append(out)
        finals.append(out)
    outputs = Outputs({name: torch.stack(found) for name, found in rows.items() if found})
    x = torch.stack(finals)
    if hasattr(decoder, "additional_fc"):
        x = x @ decoder.additional_fc.weight.T + decoder.additional_fc.bias
    if decoder.share_input_output_embed:
        outputs.logits = x @ decoder.embed_tokens.weight.T
    else:
        outputs.logits = x @ decoder.fc_out.weight.T + decoder.fc_out.bias
    return outputs
