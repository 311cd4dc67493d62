"""Transformers written from the equations, the reference for every clamp.

One sentence at a time: no batch, no padding, no cache; layer norm, attention and feed-forward
networks spelled out; clamps written into the computation where the neurons are. Vaswani et al.
(2017), with positions as in tensor2tensor.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

PAD = 1
Clamps = Mapping[str, tuple[list[int], float]]


class Reference:
    """A Transformer's encoder, decoder or both, with neurons held at values.

    Args:
        model: where the weights are.
        clamps: layer name to neurons and value.

    Attributes:
        seen: what each layer has put out, ``[length, width]``, by name.
    """

    def __init__(self, model: nn.Module, clamps: Clamps) -> None:
        self.model = model
        self.clamps = clamps
        self.seen: dict[str, Tensor] = {}

    def encode(self, tokens: Tensor) -> Tensor:
        """Words ``[length]`` to states ``[length, width]``."""
        encoder = self.model.encoder
        x = self._embed(encoder, "encoder", tokens)
        for number, block in enumerate(encoder.layers):
            x = self._block(block, f"encoder.layers.{number}", x, None, causal=False)
        return x if encoder.layer_norm is None else normalise(encoder.layer_norm, x)

    def decode(self, previous: Tensor, states: Tensor | None) -> Tensor:
        """Log-probabilities ``[length, vocabulary]`` after each of the previous words."""
        decoder = self.model.decoder
        x = self._embed(decoder, "decoder", previous)
        for number, block in enumerate(decoder.layers):
            x = self._block(block, f"decoder.layers.{number}", x, states, causal=True)
        if decoder.layer_norm is not None:
            x = normalise(decoder.layer_norm, x)
        logits = x @ decoder.output_projection.weight.T
        return logits - logits.exp().sum(dim=1, keepdim=True).log()

    def _at(self, name: str, x: Tensor) -> Tensor:
        if name in self.clamps:
            neurons, value = self.clamps[name]
            x = x.clone()
            x[:, neurons] = value
        self.seen[name] = x
        return x

    def _embed(self, owner: nn.Module, side: str, tokens: Tensor) -> Tensor:
        # The table itself, whatever stands in for the module.
        table = owner.state_dict()["embed_tokens.weight"]
        x = self._at(f"{side}.embed_tokens", table[tokens])
        return x * math.sqrt(x.size(1)) + positions(owner.embed_positions, *x.shape)

    def _block(
        self, block: nn.Module, name: str, x: Tensor, states: Tensor | None, causal: bool
    ) -> Tensor:
        before = block.normalize_before

        def add(residual: Tensor, norm: nn.Module, change) -> Tensor:
            if before:
                return residual + change(normalise(norm, residual))
            return normalise(norm, residual + change(residual))

        def attend_self(x: Tensor) -> Tensor:
            return self._at(f"{name}.self_attn", attention(block.self_attn, x, x, causal))

        def attend_encoder(x: Tensor) -> Tensor:
            attended = attention(block.encoder_attn, x, states, False)
            return self._at(f"{name}.encoder_attn", attended)

        def feed_forward(x: Tensor) -> Tensor:
            hidden = activate(block, x @ block.fc1.weight.T + block.fc1.bias)
            return self._at(f"{name}.ffn", hidden) @ block.fc2.weight.T + block.fc2.bias

        x = add(x, block.self_attn_layer_norm, attend_self)
        if states is not None:
            x = add(x, block.encoder_attn_layer_norm, attend_encoder)
        return self._at(name, add(x, block.final_layer_norm, feed_forward))


def normalise(norm: nn.Module, x: Tensor) -> Tensor:
    """Layer norm of ``[length, width]``."""
    centred = x - x.mean(dim=1, keepdim=True)
    variance = (centred**2).mean(dim=1, keepdim=True)
    return centred / (variance + norm.eps).sqrt() * norm.weight + norm.bias


def attention(module: nn.Module, x: Tensor, memory: Tensor, causal: bool) -> Tensor:
    """Multi-head attention of ``x [length, width]`` over ``memory [others, width]``."""
    queries = x @ module.q_proj.weight.T + module.q_proj.bias
    keys = memory @ module.k_proj.weight.T + module.k_proj.bias
    values = memory @ module.v_proj.weight.T + module.v_proj.bias
    size = queries.size(1) // module.num_heads
    heads = []
    for head in range(module.num_heads):
        here = slice(head * size, (head + 1) * size)
        scores = queries[:, here] @ keys[:, here].T / math.sqrt(size)
        if causal:
            later = torch.arange(len(memory)) > torch.arange(len(x)).unsqueeze(1)
            scores[later] = -math.inf
        weights = scores.exp() / scores.exp().sum(dim=1, keepdim=True)
        heads.append(weights @ values[:, here])
    return torch.cat(heads, dim=1) @ module.out_proj.weight.T + module.out_proj.bias


def activate(block: nn.Module, x: Tensor) -> Tensor:
    """ReLU or GELU, whichever the block has."""
    if "gelu" in block.activation_fn.__name__:
        return x * 0.5 * (1 + torch.erf(x / math.sqrt(2)))
    return x.clamp(min=0)


def positions(module: nn.Module, length: int, width: int) -> Tensor:
    """Vectors ``[length, width]`` of the positions, which fairseq counts from padding + 1 on."""
    numbers = torch.arange(PAD + 1, PAD + 1 + length)
    if isinstance(module, nn.Embedding):
        return module.weight[numbers]
    half = width // 2
    rates = torch.exp(torch.arange(half) * -(math.log(10000) / (half - 1)))
    angles = numbers.unsqueeze(1) * rates
    return torch.cat([angles.sin(), angles.cos()], dim=1)
