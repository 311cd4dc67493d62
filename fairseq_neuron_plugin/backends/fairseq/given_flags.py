"""Which of fairseq's flags a command line gives, and the error for those without effect."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence

from ...errors import UserError
from .flags import Command, decide


def given_settings(
    parser: argparse.ArgumentParser, arguments: Sequence[str], parsed: argparse.Namespace
) -> dict[str, str]:
    """Find the settings that a command line changes.

    Args:
        parser: fairseq's, complete with the flags of the task.
        arguments: of the command line.
        parsed: what the parser made of them.

    Returns:
        Setting to the flag as it was written, in the order of the command line; without those
        that were given the value that they have anyway.
    """
    actions = parser._option_string_actions
    given: dict[str, str] = {}
    for flag in (part.partition("=")[0] for part in arguments if part.startswith("-")):
        action = actions.get(flag)
        if action is None or action.dest == "help":
            continue
        value = getattr(parsed, action.dest, None)
        if value != action.default and str(value) != str(action.default):
            given.setdefault(action.dest, flag)
    return given


def refuse_ignored(given: Mapping[str, str], command: Command, task: str = "translation") -> None:
    """`UserError` that names a flag which has no effect with a command, if one is given.

    Args:
        given: from `given_settings`.
        command: what is to be done with the flags.
        task: name of the task; some settings of the search belong to certain tasks.
    """
    for setting, flag in given.items():
        decision = decide(setting, command, task)
        if decision is not None and decision.kind == "refused":
            raise UserError(f"{flag} does nothing here: {decision.reason}")
