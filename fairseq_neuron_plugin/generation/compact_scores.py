"""The best words of each row and their log-probabilities, without a tensor of rows x vocabulary.

Stock fairseq makes several passes a step over ``[batch * beam, vocabulary]``: product, bias,
log-softmax, masks, sum, top-k, each through main memory. Here the product is taken in blocks that
stay in the processor's cache, and all that is wanted of a block is taken before the next.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import linear

from ..projection import Projection

SPECIALS = 4  # fairseq's <s>, <pad>, </s> and <unk> are the first words of every dictionary
GROUP = 16  # columns that share one maximum in the search for the best
PAYS_ON_CPU = 2**19  # numbers, rows x vocabulary; measured
PAYS = 2**24  # on an accelerator; estimated
_LOG2_E = math.log2(math.e)
_COLUMNS = 1024  # of a block, at least
_BLOCK = 2**18  # numbers
_CACHE = 2**22  # numbers in the buffer of logits
_MOST_ROWS = 512
_DEVICE_BUFFER = 2**28  # numbers, on an accelerator
_LOWEST = -1e30


def worthwhile(projection: Projection, rows: int, best: int) -> bool:
    """Whether compact scores are possible for this vocabulary, and pay for batches of this size.

    They are many small steps: where the whole tensor is small, they cost more than they save.
    """
    words = len(projection.weight)
    on_cpu = projection.weight.device.type == "cpu"
    return words >= GROUP * (best + 1) and rows * words >= (PAYS_ON_CPU if on_cpu else PAYS)


class CompactScores:
    """Log-probabilities of the special symbols and of each row's best other words.

    They are normalised over the whole vocabulary, in float32 as `fairseq.utils.log_softmax` does.
    Inside, logits are to base 2: ``exp2`` is several times as fast as ``exp`` on a CPU.

    Args:
        projection: from features to logits.
        best: how many words beside the special symbols.
        temperature: logits are divided by it.
        rows: the most rows that will be asked for.
    """

    def __init__(self, projection: Projection, best: int, temperature: float, rows: int) -> None:
        self.projection = projection
        self.best = best
        self.temperature = temperature
        self.width = SPECIALS + best
        weight = projection.weight
        self.vocabulary = len(weight)
        padded = -(-self.vocabulary // GROUP) * GROUP
        if weight.device.type == "cpu":
            numbers = _CACHE * min(torch.get_num_threads(), 4)
            self._rows = min(rows, _MOST_ROWS, max(64, numbers // self.vocabulary))
            self._block = min(padded, max(_COLUMNS, _BLOCK // self._rows // GROUP * GROUP))
        else:
            self._block = padded
            self._rows = min(rows, max(1, _DEVICE_BUFFER // self.vocabulary))
        self._starts = range(0, self.vocabulary, self._block)
        self._stride = self._block // GROUP  # between the columns of a group
        new = weight.new_empty
        columns = len(self._starts) * self._block
        # The last block may be partly empty; what is beyond the vocabulary stays at -inf.
        self._logits = new(self._rows, columns, dtype=torch.float32).fill_(-math.inf)
        self._powers = new(self._rows * self._block, dtype=torch.float32)
        self._maxima = new(self._rows, columns // GROUP, dtype=torch.float32)
        self._members = torch.arange(GROUP, device=weight.device) * self._stride
        self._specials = torch.arange(SPECIALS, device=weight.device)

    def __call__(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Scores and words of rows of features ``[rows, width]``.

        Returns:
            Log-probabilities ``[rows, 4 + best]``, float32: the special symbols in the order of
            their ids, then the best other words, the most probable first; and the words' ids,
            int64. A row with a NaN anywhere in its logits is NaN, as after a log-softmax.
        """
        parts = [self._score(part) for part in features.split(self._rows)]
        scores, words = zip(*parts, strict=True)
        return torch.cat(scores), torch.cat(words)

    def _score(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """As ``__call__``, for as many rows as the buffers hold."""
        rows = len(features)
        specials = features.new_empty(0)
        shifts, sums = [], []
        for start in self._starts:
            block = self._logits[:rows, start : start + self._block]
            self._multiply(features, start, block)
            if start == 0:
                specials = block[:, :SPECIALS].clone()
                block[:, :SPECIALS] = -math.inf
            first = start // GROUP
            maxima = self._maxima[:rows, first : first + self._stride]
            torch.amax(block.view(rows, GROUP, self._stride), dim=1, out=maxima)
            # Not -inf: a difference of infinities is no number.
            shift = maxima.amax(dim=1, keepdim=True).clamp_(min=_LOWEST)
            powers = self._powers[: rows * self._block].view(rows, self._block)
            shifts.append(shift)
            sums.append(torch.sub(block, shift, out=powers).exp2_().sum(dim=1, keepdim=True))
        total = _log2_sum(torch.cat([*shifts, specials], 1), torch.cat(sums, 1))
        logits, words = self._best_words(rows)
        scores = torch.cat((specials, logits), dim=1).sub_(total).div_(_LOG2_E)
        return scores, torch.cat((self._specials.expand(rows, -1), words), dim=1)

    def _multiply(self, features: Tensor, start: int, block: Tensor) -> None:
        """Write logits to base 2 into a block of columns."""
        weight = self.projection.weight[start : start + self._block]
        bias = self.projection.bias
        out = block[:, : len(weight)]
        if bias is not None:
            bias = bias[start : start + self._block]
        if weight.dtype == torch.float32:
            scale = _LOG2_E / self.temperature
            if bias is None:
                torch.addmm(out, features, weight.t(), beta=0, alpha=scale, out=out)
            else:
                torch.addmm(bias, features, weight.t(), beta=scale, alpha=scale, out=out)
        else:  # rounded to the model's precision, as stock does
            out.copy_(linear(features, weight, bias).div_(self.temperature)).mul_(_LOG2_E)

    def _best_words(self, rows: int) -> tuple[Tensor, Tensor]:
        """Base 2 logits and ids of the best words: they lie in the groups of the best maxima."""
        groups = self._maxima[:rows].topk(self.best, dim=1, sorted=False).indices
        first = groups + groups.div(self._stride, rounding_mode="floor") * (
            self._block - self._stride
        )
        columns = (first.unsqueeze(2) + self._members).view(rows, -1)
        logits, chosen = self._logits[:rows].gather(1, columns).topk(self.best, dim=1)
        # Beyond the vocabulary there is -inf alone, but the id is looked up nevertheless.
        return logits, columns.gather(1, chosen).clamp_(max=self.vocabulary - 1)


def _log2_sum(exponents: Tensor, sums: Tensor) -> Tensor:
    """``log2 Σ_b sums_b 2^exponents_b`` ``[rows, 1]``; further exponents count once."""
    highest = exponents.amax(dim=1, keepdim=True)
    powers = (exponents - highest).exp2_()
    powers[:, : sums.size(1)] *= sums
    return powers.sum(dim=1, keepdim=True).log2_().add_(highest)
