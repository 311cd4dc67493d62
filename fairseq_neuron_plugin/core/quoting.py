r"""The one quoting rule of specs: what holds a separator stands in double quotes.

Labels of treebanks hold all of ``|``, ``;``, ``:``, ``,`` and ``=``. Inside the quotes a quote is
written ``\"`` and a backslash ``\\``. A text whose quotes do not close is taken as it stands.
"""

from __future__ import annotations

import re

_QUOTED = r'"(?:[^"\\]|\\.)*"'


def split_unquoted(text: str, separator: str) -> list[str]:
    r"""Split at a separator that is not in quotes; the quotes stay.

    Args:
        text: e.g. ``R.json:label="NN|VB":top:5|3,4``.
        separator: one character.

    >>> split_unquoted('R.json:label="NN|VB":top:5|3,4', "|")
    ['R.json:label="NN|VB":top:5', '3,4']
    """
    parts = [""]
    for piece in re.findall(rf"{_QUOTED}|{re.escape(separator)}|.", text, re.DOTALL):
        if piece == separator:
            parts.append("")
        else:
            parts[-1] += piece
    return parts


def unquote(text: str) -> str:
    r"""Remove the quotes of a text that stands in some.

    >>> unquote('"NN|VB"'), unquote("VERB")
    ('NN|VB', 'VERB')
    """
    if not re.fullmatch(_QUOTED, text, re.DOTALL):
        return text
    return re.sub(r"\\(.)", r"\1", text[1:-1], flags=re.DOTALL)


def quoted(text: str) -> str:
    r"""Write a label so that every spec can hold it.

    >>> quoted("NN|VB"), quoted("VERB")
    ('"NN|VB"', 'VERB')
    """
    if not re.search(r'[|;:,="\\\s]', text) and text:
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
