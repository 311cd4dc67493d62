"""The curves of a sweep: rankings, and what each of them says of one label."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from urllib.parse import quote

from ..core.quoting import split_unquoted, unquote
from ..errors import UserError
from ..ranking import Ranking
from ..signature import format_signature, short_hash

_GOOD = "+,=@"  # in file names, beside letters, digits and "_.-~"
_LONGEST = 80  # a file's name has more parts, and 255 bytes in all


def read_curves(given: Sequence[str], labels: str | None = None) -> dict[str, Ranking]:
    """The ranking of each curve, by the curve's name.

    The name is that of the file, without its ending, and for a label ``FILE.LABEL``. No two
    differ only in upper and lower case: they name files.

    Args:
        given: ranking files (``R.json``), or labels of theirs (``R.json:label=VERB``).
        labels: comma-separated; each file that stands by itself then gives a curve for each of
            them, and none of its own.

    Raises:
        UserError: no ranking, no such label, labels that no file stands for, or two curves
            of one name.
    """
    names = (
        None if labels is None else [unquote(part.strip()) for part in split_unquoted(labels, ",")]
    )
    if names is not None and not all(names):
        raise UserError(f"--label {labels!r} names no label; write for example VERB,NOUN")
    if names is not None and all(_selection(text) for text in map(str, given)):
        raise UserError(f"--label {labels} does nothing: every ranking has a label of its own")
    load = cache(Ranking.load)
    curves: dict[str, Ranking] = {}
    origins: dict[str, str] = {}
    for path, label in _each(given, names):
        ranking = load(path)
        name = Path(path).stem
        if label is not None:
            try:
                ranking, name = of_label(ranking, label), f"{name}.{_file_part(ranking, label)}"
            except UserError as error:
                raise UserError(f"ranking {path}: {error}") from error
        origin = path if label is None else f"{path}:label={label}"
        if name.lower() in origins:
            raise UserError(
                f"two curves are called {name}: {origins[name.lower()]} and {origin}; leave one "
                "out, or rename a file"
            )
        origins[name.lower()] = origin
        curves[name] = ranking
    return curves


def of_label(ranking: Ranking, label: str) -> Ranking:
    """The same neurons in a label's own order.

    Args:
        ranking: of a method that has an order for each label.
        label: one of these.

    Returns:
        A ranking without labels. The scores are still those over all labels: files have no others.

    Raises:
        UserError: no such label.
    """
    neurons = ranking.order("top", label)
    scores = ranking.scores.copy()
    scores[ranking.neurons] = ranking.scores  # by flat id
    return replace(
        ranking,
        neurons=neurons,
        scores=scores[neurons],
        per_label={},
        signature=f"{ranking.signature}|{format_signature({'label': label})}",
    )


def _each(given: Sequence[str], labels: Sequence[str] | None) -> Iterator[tuple[str, str | None]]:
    """File and label of each curve."""
    for text in map(str, given):
        selection = _selection(text)
        if selection:
            yield selection[1], unquote(selection[2])
        elif labels is None:
            yield text, None
        else:
            yield from ((text, label) for label in dict.fromkeys(labels))


def _selection(text: str) -> re.Match[str] | None:
    """File and label of ``R.json:label=VERB``."""
    found = re.fullmatch(r"(.+?\.json):label=(.*)", text, re.DOTALL)
    return found if found and not os.path.exists(text) else None  # also for what is too long a name


def _file_part(ranking: Ranking, label: str) -> str:
    """A label as a part of a file's name, which no other label of the ranking has.

    What is no good there is percent-encoded; a hash tells apart what would be too long, or differs
    from another label only in upper and lower case, which not every file system does.
    """
    encoded = quote(label, safe=_GOOD)
    alike = [other for other in ranking.per_label if other.lower() == label.lower()]
    if len(encoded) > _LONGEST or len(alike) > 1:
        return f"{encoded[:_LONGEST]}~{short_hash(label)}"
    return encoded
