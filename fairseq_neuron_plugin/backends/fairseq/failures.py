"""Turn what fairseq raises over a file or a flag into one line, and leave bugs of ours alone."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

from ...errors import UserError

logger = logging.getLogger(__name__)

_PACKAGE = __name__.partition(".")[0]


@contextmanager
def checkpoint_errors(path: str) -> Iterator[None]:
    """Raise `UserError` for whatever fairseq makes of a checkpoint that it cannot use.

    An error that arises in this package itself passes through: it is a bug, not the file's fault.
    The traceback goes to the log, at level debug.

    Args:
        path: of the checkpoint.
    """
    try:
        yield
    except UserError:
        raise
    except (Exception, RecursionError) as error:
        if _arose_here(error.__traceback__):
            raise
        logger.debug("checkpoint %s", path, exc_info=True)
        raise UserError(f"checkpoint {path} cannot be used: {_reason(error)}") from error


def _reason(error: BaseException) -> str:
    text = str(error)
    if "Error(s) in loading state_dict" in text:
        detail = text.splitlines()[1].strip() if "\n" in text else text
        return (
            "it does not fit the architecture or the dictionaries of the data: "
            + " ".join(detail.split())[:300]
        )
    if "Could not infer language pair" in text:
        return "no language pair found; give --source-lang and --target-lang"
    if isinstance(error, FileNotFoundError):
        return f"not found: {error.filename or text}"
    if isinstance(error, OSError):
        return text
    if isinstance(error, MemoryError | RecursionError):
        return "it does not fit into memory"
    return f"{type(error).__name__}: {' '.join(text.split())[:300]}"


def _arose_here(trace: TracebackType | None) -> bool:
    module = ""
    while trace is not None:
        module = trace.tb_frame.f_globals.get("__name__", "")
        trace = trace.tb_next
    return module.partition(".")[0] == _PACKAGE
