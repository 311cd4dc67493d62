"""Score sentences by an LSTM language model, each distinct beginning of them once.

A sentence that is scored by itself starts from the same state as any other, so sentences that begin
alike have the same states as long as they are alike. Prefixes of one length are computed together,
from the states of those that are one symbol shorter.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from ..instruments.lstm_attention import has_hooks
from ..instruments.lstm_decoder import DecoderForward, LSTMDecoderInstrument
from ..projection import Projection
from ..scoring.target_scores import target_scores
from .lean_lstm import LeanDecoder
from .prefix_tree import Ids, PrefixTree, grow_trees


class SharedPrefixes:
    """Sentences that one model scores again and again.

    Args:
        model: a language model of fairseq's.
        sentences: what the model reads, and what follows at each position: of equal length, not
            empty.
        skipped: how many positions at the beginning of each sentence are not scored.

    Attributes:
        trees: the sentences by their beginnings.
    """

    def __init__(self, model: Any, sentences: Sequence[tuple[Ids, Ids]], skipped: int = 0) -> None:
        self._model = model
        self._skipped = skipped
        self.trees = grow_trees(sentences)
        self._lengths = np.array([len(read) for read, _ in sentences], dtype=np.int64)

    @staticmethod
    def fits(model: Any) -> bool:
        """Whether a model is an LSTM language model that nothing interferes with.

        To be asked before an ablation is begun, which `score` takes into account.
        """
        from fairseq.models import FairseqLanguageModel

        decoder: Any = getattr(model, "decoder", None)
        return (
            isinstance(model, FairseqLanguageModel)
            and type(model).forward is FairseqLanguageModel.forward
            and LSTMDecoderInstrument.fits(decoder)
            and Projection.of(model) is not None
            and decoder.attention is None
            and type(decoder.embed_tokens) is nn.Embedding
            and type(getattr(decoder, "additional_fc", None)) in (type(None), nn.Linear)
            and not {"extract_features", "embed_tokens"} & vars(decoder).keys()
            and not any(has_hooks(module) for module in model.modules())
            and {weights.dtype for weights in model.parameters()} == {torch.float32}
        )

    def score(
        self, progress: Callable[[int], object] = lambda tokens: None
    ) -> npt.NDArray[np.float64]:
        """Log-probabilities (natural) of what is scored, a sentence after the other: ``[tokens]``.

        Clamps that `ablate` has put on the model are obeyed, and have fired then.

        Args:
            progress: called with numbers of tokens.
        """
        override = vars(self._model.decoder).get("extract_features")
        users = override.users if isinstance(override, DecoderForward) else []
        scores = np.empty(int(self._lengths.sum()))
        with torch.inference_mode():
            for tree in self.trees:
                found = _score_tree(self._model.decoder, users, tree)
                scores[self._positions(tree)] = found.double().cpu().numpy()[tree.pairs]
                progress(len(tree.pairs) - self._skipped * len(tree.sequences))
        for _, clamp in users:
            clamp.fired += 1
        starts = np.cumsum(self._lengths) - self._lengths
        return np.delete(scores, (starts[:, None] + np.arange(self._skipped)).ravel())

    def _positions(self, tree: PrefixTree) -> Ids:
        """Where the tokens of a tree's sentences stand among all tokens."""
        lengths = self._lengths[tree.sequences]
        starts = (np.cumsum(self._lengths) - self._lengths)[tree.sequences]
        shift = starts - (np.cumsum(lengths) - lengths)
        return np.repeat(shift, lengths) + np.arange(len(tree.pairs))


def _score_tree(decoder: Any, users: Sequence[Any], tree: PrefixTree) -> Tensor:
    """Log-probability of each distinct pair of a prefix and what follows it, ``[pairs]``."""
    lean = LeanDecoder(decoder, users, tree.widest)
    features = lean.run(tree)
    weight, bias = lean.output_layer
    asked, answers = (
        torch.from_numpy(numbers).to(weight.device) for numbers in (tree.asked, tree.answers)
    )
    return target_scores(features, weight, bias, answers, asked)
