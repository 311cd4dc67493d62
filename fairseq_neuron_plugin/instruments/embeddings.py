"""Read, clamp and perturb what an encoder or decoder looks up for its tokens: ``….embed_tokens``.

The vectors are taken as they leave the embedding, before they are scaled and positions are added.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ..neurons import Layer
from .base import (
    Clamp,
    ForwardOverride,
    Instrument,
    PaddingReader,
    Perturbation,
    Remove,
    Sink,
    all_or_none,
    remove_all,
)
from .hooked import Adding, Clamping, change_by_users
from .lstm_encoder import LSTMEncoderInstrument, read_padding


class EmbeddingStandIn(ForwardOverride):
    """Stands in for ``owner.embed_tokens`` where the owner looks tokens up.

    Encoder, decoder and output layer may share one embedding module, so it is not the module that
    is clamped but what one owner gets from it. `nn.Module` looks into the instance before it looks
    for submodules; parameters and state_dict do not notice.

    Its users are `Adding`s, `Clamping`s and readers, called with ``(tokens, vectors)``.
    """

    _kept_as = "embed_tokens"

    @property
    def embedding(self) -> Any:
        """What this stands in for."""
        return self.module._modules["embed_tokens"]

    def __call__(self, tokens: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Vectors ``[batch, length, width]`` of tokens ``[batch, length]``."""
        vectors = change_by_users(self.users, self.embedding(tokens, *args, **kwargs), tokens)
        for user in self.users:
            if not isinstance(user, Adding | Clamping):
                user(tokens, vectors)
        return vectors

    def __getattr__(self, name: str) -> Any:
        # Fairseq reads ``weight``, ``padding_idx``, … . "module" is missing only while a copy of
        # this object is being made.
        if name == "module" or name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.embedding, name)


class EmbeddingInstrument(Instrument):
    """The layer ``encoder.embed_tokens`` or ``decoder.embed_tokens``.

    Args:
        owner: the encoder or decoder.
        side: ``encoder`` or ``decoder``.
    """

    def __init__(self, owner: nn.Module, side: str) -> None:
        self.owner = owner
        self.name = f"{side}.embed_tokens"

    @staticmethod
    def fits(owner: nn.Module) -> bool:
        """Whether this is a module with an embedding for tokens."""
        embedding = owner._modules.get("embed_tokens")
        return isinstance(getattr(embedding, "embedding_dim", None), int)

    @property
    def layers(self) -> list[Layer]:
        """The one layer."""
        embedding: Any = self.owner._modules["embed_tokens"]
        return [Layer(self.name, embedding.embedding_dim)]

    def tap(self, names: list[str], sink: Sink) -> Remove:
        """See `Instrument.tap`."""
        padding, unwatch = self._watch_input()
        reader = partial(self._hand_on, padding, sink)
        return self._join(reader, unwatch)

    def clamp(self, name: str, clamp: Clamp) -> Remove:
        """See `Instrument.clamp`. No recurrence, so all scopes mean the same."""
        user = Clamping(clamp)
        stand_in = EmbeddingStandIn.join(self.owner, user)
        return partial(stand_in.leave, user)

    def perturb(self, name: str, perturbation: Perturbation) -> Remove:
        """See `Instrument.perturb`."""
        padding, unwatch = self._watch_input()
        user = Adding(perturbation, partial(self._shaped, padding, perturbation))
        return self._join(user, unwatch)

    def _join(self, user: Any, unwatch: Remove) -> Remove:
        with all_or_none() as removers:
            removers.append(unwatch)
            stand_in = EmbeddingStandIn.join(self.owner, user)
            removers.append(partial(stand_in.leave, user))
        return partial(remove_all, removers)

    def _watch_input(self) -> tuple[PaddingReader | None, Remove]:
        """What knows the padding of the input, where the owner moves it, and what ends it."""
        if not LSTMEncoderInstrument.fits(self.owner):
            return None, partial(remove_all, [])
        # This encoder turns left padding to the right before it looks tokens up.
        padding = PaddingReader()
        return padding, read_padding(self.owner, padding)

    def _shaped(
        self,
        padding: PaddingReader | None,
        perturbation: Perturbation,
        vectors: Tensor,
        tokens: Tensor,
    ) -> Tensor:
        """What is added to the vectors of the tokens."""
        is_row, is_word = self._words(padding, tokens)
        drawn = perturbation.draw(vectors, (*is_word.shape, vectors.size(2)))
        # Both masks hold each sentence's words in order.
        return torch.zeros_like(vectors).index_put((is_row,), drawn[is_word])

    def _words(self, padding: PaddingReader | None, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Where the words are in ``tokens``, and where in the owner's input."""
        is_row = _is_word(self.owner, tokens)
        return is_row, is_row if padding is None or padding.is_word is None else padding.is_word

    def _hand_on(
        self, padding: PaddingReader | None, sink: Sink, tokens: Tensor, vectors: Tensor
    ) -> None:
        is_row, is_word = self._words(padding, tokens)
        output = vectors.new_zeros(*is_word.shape, vectors.size(2))
        # Both masks hold each sentence's words in order.
        output[is_word] = vectors[is_row]
        sink(self.name, output)


def watch_words(owner: nn.Module, reader: Callable[[Tensor], None]) -> Remove:
    """Whenever the owner looks tokens up, call ``reader(is_word)``, bool ``[batch, length]``.

    In incremental decoding these are the tokens of the step, not all that came before.
    """

    def read(tokens: Tensor, vectors: Tensor) -> None:
        reader(_is_word(owner, tokens))

    stand_in = EmbeddingStandIn.join(owner, read)
    return partial(stand_in.leave, read)


def _is_word(owner: nn.Module, tokens: Tensor) -> Tensor:
    padding = getattr(owner._modules["embed_tokens"], "padding_idx", None)
    if padding is None:
        padding = getattr(owner, "padding_idx", None)
    return tokens.ne(-1 if padding is None else padding)
