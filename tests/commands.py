"""Running a command's `main` in this process."""

from __future__ import annotations

import pytest


def end(main, *arguments):
    """The exit status."""
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    return ended.value.code


def refusal(main, capsys, *arguments):
    """The one line that a refused command prints."""
    assert end(main, *arguments) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.strip()]
    assert len(lines) == 1, lines
    return lines[0]
