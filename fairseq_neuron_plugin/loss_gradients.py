"""The gradient of a loss at the neurons of any fairseq model that has an instrument."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Self

import torch
from torch import Tensor, nn

from .errors import UserError
from .instruments import Perturbation, find_instruments
from .interventions import tap


@dataclass(frozen=True, eq=False)
class Place:
    """Neurons in one forward pass, and the gradient there once a backward pass has been made.

    Attributes:
        values: ``[batch, length, width]``, or ``[batch, width]`` of states before the first step.
        leaf: 0, of the same shape; it was added to the neurons, so the loss's derivative with
            respect to it is that with respect to them.
    """

    values: Tensor
    leaf: Tensor

    @property
    def gradients(self) -> Tensor:
        """Of the loss, as ``values``; 0 at padding.

        Raises:
            UserError: no backward pass has been made.
        """
        if self.leaf.grad is None:
            raise UserError("no gradient has come here yet: call backward after the forward pass")
        return self.leaf.grad


@dataclass(frozen=True, eq=False)
class LayerGradients(Place):
    """One layer in one forward pass.

    Attributes:
        start: the hidden states before the first step, where an ablation clamps these too and they
            are not 0: an LSTM decoder's that an encoder sets. Otherwise None.
    """

    start: Place | None = None


class gradients(Mapping[str, LayerGradients]):
    """Read layers during a forward pass, and the gradient of a loss there after it.

    The gradient of a neuron at a step is the total derivative: what adding to ``h_t[j]``, where an
    ablation of scope ``recurrent`` sets it, does to the loss through the recurrence, the next
    layer, attention and the final state. So minus the sum over the steps of value times gradient is
    the first-order estimate of what ablating the neuron to 0 does to the loss (Molchanov et al.
    2017, section 2.2).

    After a forward pass it maps the name of each layer to its `LayerGradients`; each pass replaces
    those of the one before. Clamped neurons do not move: their gradient is 0.

    Usage::

        with gradients(model, "encoder.layers.*") as layers:
            loss = criterion(model(**net_input))
            layers.backward(loss)                       # leaves the parameters' .grad alone
            layers["encoder.layers.0"].values           # [batch, length, width]
            layers["encoder.layers.0"].gradients

    Args:
        model: any model with an instrument, in training or evaluation mode.
        layers: see `tap`.

    Raises:
        UserError: no such layer, a model whose own backward pass is not the derivative, or a
            forward pass under ``torch.no_grad()``.
    """

    def __init__(self, model: nn.Module, layers: str | Sequence[str] | None = None) -> None:
        self._tap = tap(model, layers)
        self.space = self._tap.space
        _refuse_scaled_gradients(model)
        self._model = model
        self._leaves: dict[str, Tensor] = {}
        self._starts: dict[str, Place] = {}
        self._reached: set[str] = set()  # since the last backward pass
        self._entered: list[ExitStack] = []

    def __enter__(self) -> Self:
        for kept in (self._leaves, self._starts, self._reached):
            kept.clear()
        names = [layer.name for layer in self.space.layers]
        with ExitStack() as stack:
            if any(parameter.is_cuda for parameter in self._model.parameters()):
                # cuDNN has no backward pass of an LSTM in evaluation mode.
                stack.enter_context(torch.backends.cudnn.flags(enabled=False))
            for instrument in find_instruments(self._model):
                for layer in instrument.layers:
                    if layer.name in names:
                        stack.callback(instrument.perturb(layer.name, self._watch(layer.name)))
            stack.enter_context(self._tap)
            self._entered.append(stack.pop_all())
        return self

    def __exit__(self, *error: object) -> None:
        self._entered.pop().close()

    def __getitem__(self, name: str) -> LayerGradients:
        if name not in self._leaves:
            self._tap[name]  # KeyError, with the reason
        return LayerGradients(self._tap[name].detach(), self._leaves[name], self._starts.get(name))

    def __iter__(self) -> Iterator[str]:
        return iter(self._leaves)

    def __len__(self) -> int:
        return len(self._leaves)

    def backward(self, loss: Tensor) -> None:
        """Compute the gradients of the last pass, and of nothing else.

        Args:
            loss: one number, computed from what the model has put out.

        Raises:
            UserError: a layer that the pass has not reached.
        """
        self.check_fired()
        self._reached.clear()
        leaves = [*self._leaves.values(), *(start.leaf for start in self._starts.values())]
        found = torch.autograd.grad(loss, leaves, allow_unused=True)
        for leaf, gradient in zip(leaves, found, strict=True):
            leaf.grad = torch.zeros_like(leaf) if gradient is None else gradient

    def check_fired(self) -> None:
        """`UserError` if no forward pass since the last backward pass has reached some layer."""
        silent = [layer.name for layer in self.space.layers if layer.name not in self._reached]
        if silent:
            raise UserError(f"no forward pass has reached {', '.join(silent)}: no gradient there")

    def _watch(self, name: str) -> Perturbation:
        return Perturbation(partial(self._draw, name), partial(self._draw_start, name))

    def _draw(self, name: str, like: Tensor, shape: Sequence[int]) -> Tensor:
        if not torch.is_grad_enabled():
            raise UserError("gradients need a forward pass that is not under torch.no_grad()")
        self._starts.pop(name, None)
        self._reached.add(name)
        self._leaves[name] = like.new_zeros(*shape, requires_grad=True)
        return self._leaves[name]

    def _draw_start(self, name: str, states: Tensor) -> Tensor:
        leaf = torch.zeros_like(states, requires_grad=True)
        self._starts[name] = Place(states.detach(), leaf)
        return leaf


def _refuse_scaled_gradients(model: nn.Module) -> None:
    from fairseq.models import fconv, fconv_self_att

    encoders = (fconv.FConvEncoder, fconv_self_att.FConvEncoder)
    if any(isinstance(module, encoders) for module in model.modules()):
        raise UserError(
            "no gradients of fairseq's convolutional encoder: it scales those that pass back "
            "through it (GradMultiply), so they are not those of the loss"
        )
