"""The flags that the installed fairseq has, out of its own parsers."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from fairseq import options
from fairseq.dataclass.utils import gen_parser_from_dataclass
from fairseq.registry import REGISTRIES
from fairseq.tasks import TASK_REGISTRY

from fairseq_neuron_plugin import register  # noqa: F401  (the neuron_ tasks)
from fairseq_neuron_plugin.backends.fairseq.flags import TASKS, Command

# Registries of which any entry may be chosen; what is chosen of the others is for training.
_CHOSEN = ("bpe", "tokenizer", "scoring")


def parsers(command: Command) -> Iterator[argparse.ArgumentParser]:
    """Yield parsers that together have the flags of a command, however it is called."""
    make = options.get_eval_lm_parser if command == "eval-lm" else options.get_generation_parser
    parser = make(default_task=TASKS[command][0])
    options.parse_args_and_arch(parser, ["data"])  # adds those of tasks and registries
    yield parser
    for task in TASKS[command]:
        for name in (task, f"neuron_{task}"):
            if name in TASK_REGISTRY:
                yield _parser_of(TASK_REGISTRY[name])
    for registry in _CHOSEN:
        for entry in REGISTRIES[registry]["registry"].values():
            yield _parser_of(entry)


def _parser_of(entry: type) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(add_help=False, conflict_handler="resolve")
    if hasattr(entry, "add_args"):
        entry.add_args(parser)
    elif getattr(entry, "__dataclass", None) is not None:
        gen_parser_from_dataclass(parser, getattr(entry, "__dataclass")())
    return parser


def actions(command: Command) -> dict[str, tuple[argparse.ArgumentParser, argparse.Action]]:
    """By setting: a parser that has a flag for it, and the flag's action."""
    return {
        action.dest: (parser, action)
        for parser in parsers(command)
        for action in parser._actions
        if action.dest != "help"
    }


def change(action: argparse.Action) -> list[str]:
    """A command line that gives a flag a value which is not its default."""
    flag = max(action.option_strings, key=len)
    if action.nargs == 0:
        return [flag]
    values = list(action.choices) if action.choices else ["7", "0.7", "text", "{'a': 'b'}"]
    for value in values:
        try:
            made = action.type(value) if callable(action.type) else value
        except Exception:
            continue
        if str(made) != str(action.default):
            return [f"{flag}={value}"]
    raise AssertionError(f"no value for {flag}")
