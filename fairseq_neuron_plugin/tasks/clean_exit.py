"""How a user's mistake ends one of fairseq's own commands."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import UserError


@contextmanager
def ends_cleanly() -> Iterator[None]:
    """Turn a `UserError` into one line and exit status 2: fairseq would print a traceback."""
    try:
        yield
    except UserError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        raise SystemExit(2) from error
