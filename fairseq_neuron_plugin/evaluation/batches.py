"""The batches in which a split is translated: fairseq's own, with equal sentences taken once."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..errors import UserError
from ..generation.together import is_plain_input
from ..loading import Session

_SENTENCES = 64  # of a batch of one length


@dataclass(frozen=True)
class Batch:
    """A batch of the generator.

    Attributes:
        sample: what the generator is given.
        numbers: of the sentences that it stands for, within the split.
        rows: for each of these, its row in ``sample``.
    """

    sample: Mapping[str, Any]
    numbers: Sequence[int]
    rows: Sequence[int]

    @classmethod
    def of(cls, sample: Mapping[str, Any]) -> Batch:
        """fairseq's batch as it is."""
        numbers = sample["id"].tolist()
        return cls(sample, numbers, range(len(numbers)))

    @classmethod
    def of_distinct(cls, sample: Mapping[str, Any]) -> Batch:
        """fairseq's batch with each source sentence once; as it is, where there is more to one.

        The rows keep their padding, on which the generator's length limit depends, and the order
        in which they come first, which is by length.
        """
        if not is_plain_input(sample):
            return cls.of(sample)
        seen: dict[tuple[int, ...], int] = {}
        first: list[int] = []
        rows = []
        for number, tokens in enumerate(sample["net_input"]["src_tokens"].tolist()):
            row = seen.setdefault(tuple(tokens), len(seen))
            if row == len(first):
                first.append(number)
            rows.append(row)
        kept = torch.tensor(first)
        inputs = {name: values[kept] for name, values in sample["net_input"].items()}
        distinct = {"id": sample["id"][kept], "net_input": inputs}
        return cls(distinct, sample["id"].tolist(), rows)


def collate(session: Session, dataset: Any) -> list[dict[str, Any]]:
    """All batches, as fairseq-generate makes them; every sentence is in one of them.

    Raises:
        UserError: a sentence is too long, or would be left out.
    """
    from fairseq import utils

    cfg, task = session.cfg, session.task
    limits = [model.max_positions() for model in session.models]  # type: ignore[operator]
    batch_size = cfg.dataset.batch_size
    max_tokens = cfg.dataset.max_tokens
    try:
        batches = list(
            task.get_batch_iterator(
                dataset=dataset,
                max_tokens=12000 if max_tokens is None and batch_size is None else max_tokens,
                max_sentences=batch_size,
                max_positions=utils.resolve_max_positions(task.max_positions(), *limits),
                ignore_invalid_inputs=False,
                required_batch_size_multiple=cfg.dataset.required_batch_size_multiple,
                seed=cfg.common.seed,
            ).next_epoch_itr(shuffle=False)
        )
    except Exception as error:
        if not re.search("invalid|exceed", str(error)):
            raise
        raise UserError(f"a sentence is too long for model or batch: {error}") from error
    scored = sum(len(batch["id"]) for batch in batches if batch)
    if scored != len(dataset):
        raise UserError(
            f"only {scored} of {len(dataset)} sentences would be translated; leave out "
            "--required-batch-size-multiple, which drops the others"
        )
    return [batch for batch in batches if batch]


def collate_by_length(session: Session, dataset: Any) -> list[dict[str, Any]]:
    """Batches of sentences of one length: each is translated as it would be by itself.

    (The length limit of a padded batch depends on its longest sentence.)

    Raises:
        UserError: a sentence is too long for the model.
    """
    from fairseq import utils

    limits = [model.max_positions() for model in session.models]  # type: ignore[operator]
    limit = utils.resolve_max_positions(session.task.max_positions(), *limits)
    limit = limit[0] if isinstance(limit, tuple) else limit
    by_length: dict[int, list[int]] = {}
    for number in range(len(dataset)):
        length = len(dataset[number]["source"])
        if limit is not None and length > limit:
            raise UserError(f"sentence {number + 1} has {length} symbols, the model reads {limit}")
        by_length.setdefault(length, []).append(number)
    return [
        dataset.collater([dataset[number] for number in numbers[start : start + _SENTENCES]])
        for _, numbers in sorted(by_length.items())
        for start in range(0, len(numbers), _SENTENCES)
    ]


def longest_hypothesis(generator: Any, sample: Mapping[str, Any]) -> int | None:
    """How many words fairseq's generator allows in this batch, </s> left out.

    None if the generator is another, which does not say.
    """
    inputs: Mapping[str, Tensor] = sample["net_input"]
    if not hasattr(generator, "max_len_a") or "src_tokens" not in inputs:
        return None
    if generator.match_source_len:
        return int(inputs["src_lengths"].max())
    wanted = int(generator.max_len_a * inputs["src_tokens"].size(1) + generator.max_len_b)
    return min(wanted, int(generator.max_len) - 1)
