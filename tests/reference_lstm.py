"""A step-by-step LSTM encoder, written from the equations: the reference for every clamp.

One sentence at a time, one word at a time, one direction at a time; no packing, no fused kernels.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn


def run_direction(
    lstm: nn.LSTM,
    layer: int,
    direction: int,
    inputs: Tensor,
    units: list[int],
    value: float,
    scope: str,
) -> tuple[Tensor, Tensor, Tensor]:
    """Outputs ``[length, hidden]`` in word order, final hidden and final cell state."""
    suffix = f"_l{layer}" + ("_reverse" if direction else "")
    w_ih, w_hh, b_ih, b_hh = (
        getattr(lstm, name + suffix) for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    )
    inside = scope in ("recurrent", "full")
    h, c = torch.zeros(lstm.hidden_size), torch.zeros(lstm.hidden_size)
    if inside:
        h[units] = value
    outputs = [torch.empty(0)] * len(inputs)
    order = range(len(inputs)) if direction == 0 else reversed(range(len(inputs)))
    for step in order:
        i, f, g, o = (w_ih @ inputs[step] + b_ih + w_hh @ h + b_hh).chunk(4)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        if scope == "full":
            c[units] = 0.0
        h = o.sigmoid() * c.tanh()
        if inside:
            h[units] = value
        outputs[step] = h.clone()
    seen = torch.stack(outputs)
    if scope == "output":
        seen[:, units] = value
    return seen, h, c


def run_encoder(
    lstm: nn.LSTM,
    embedded: Tensor,
    neurons: Mapping[int, list[int]],
    value: float,
    scope: str,
) -> tuple[list[Tensor], Tensor, Tensor]:
    """One sentence ``[length, embedding]`` through all layers.

    Returns:
        Each layer's output ``[length, width]``; final hidden and cell states, each
        ``[layers, directions, hidden]``.
    """
    size, directions = lstm.hidden_size, 2 if lstm.bidirectional else 1
    inputs, layers, hiddens, cells = embedded, [], [], []
    for layer in range(lstm.num_layers):
        parts, finals = [], []
        for direction in range(directions):
            units = [n - direction * size for n in neurons.get(layer, []) if n // size == direction]
            outputs, h, c = run_direction(lstm, layer, direction, inputs, units, value, scope)
            parts.append(outputs)
            finals.append((h, c))
        inputs = torch.cat(parts, dim=1)
        layers.append(inputs)
        hiddens.append(torch.stack([h for h, _ in finals]))
        cells.append(torch.stack([c for _, c in finals]))
    return layers, torch.stack(hiddens), torch.stack(cells)
