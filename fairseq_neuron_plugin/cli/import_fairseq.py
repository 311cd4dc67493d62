"""``fairseq-neuron-import fairseq``: a clean checkpoint out of any of fairseq's own."""

from __future__ import annotations

import argparse
import shlex
from typing import TYPE_CHECKING

from .common import quiet_fairseq
from .import_common import Origin, add_output_file, refuse_existing_file

if TYPE_CHECKING:
    from ..backends.fairseq.checkpoints.importing import Imported

EXAMPLE = "fairseq old.pt --data data-bin --output clean.pt"


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "checkpoint",
        help="checkpoint, .safetensors file, or any part of a sharded checkpoint (-shard0.pt, "
        "-model_part-0.pt)",
    )
    parser.add_argument(
        "--config",
        metavar="JSON",
        help="the model's settings, args or cfg (default: those of the checkpoint; for safetensors "
        "config.json or args.json beside it)",
    )
    parser.add_argument(
        "--ema",
        action="store_true",
        help="take the moving average of the weights (--store-ema) in place of the weights",
    )
    parser.add_argument("--data", metavar="DATA", help="folder with the dictionaries, to verify")
    for flag, what in (("--source-lang", "source"), ("--target-lang", "target")):
        parser.add_argument(
            *(flag[1:3], flag),
            metavar="LANG",
            help=f"{what} language, for --data, if the checkpoint does not name it",
        )
    parser.add_argument(
        "--verify",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="with --data: load the new checkpoint before it takes its name (default: on)",
    )
    parser.add_argument("--user-dir", metavar="DIR", help="as in fairseq: your own architectures")
    add_output_file(parser)


def _run(args: argparse.Namespace) -> None:
    refuse_existing_file(args.output, args.force)  # before the work, not after
    quiet_fairseq()
    from ..backends.fairseq.checkpoints.importing import import_checkpoint
    from ..compat import require_fairseq
    from ..loading import load_model, user_errors

    require_fairseq()
    from fairseq import utils

    from .. import register  # noqa: F401  (the plugin's own architectures and tasks)

    with user_errors(f"--user-dir {args.user_dir}"):
        utils.import_user_module(args)
    names = ("source_lang", "target_lang")
    languages = {name: vars(args)[name] for name in names if vars(args)[name] is not None}
    verified = args.verify and args.data is not None
    imported = import_checkpoint(
        args.checkpoint,
        args.output,
        settings=args.config,
        ema=args.ema,
        verify=(lambda path: load_model(path, args.data, languages)) if verified else None,
    )
    for name, value in _lines(args, imported, verified).items():
        print(f"{name:<12}  {value}")
    command = ("fairseq-neuron-extract", args.data or "DATA", "--path", str(imported.path))
    print(f"\n{shlex.join(command)} --gen-subset test --output-dir acts")


def _lines(args: argparse.Namespace, imported: Imported, verified: bool) -> dict[str, str]:
    """What was read and written, by the names of the table's lines."""
    lines = {
        "read": f"{args.checkpoint}: {imported.source}",
        "task": imported.task,
        "architecture": imported.architecture,
        "parameters": f"{imported.parameters:,}" + (" (moving average)" if args.ema else ""),
        "left out": ", ".join(imported.left_out) or "nothing",
        "emptied": ", ".join(imported.emptied) or "no setting",
    }
    if imported.padded_dictionary is not None:
        lines["dictionary"] = f"needs {imported.padded_dictionary} entries, padded as in training"
    size = f"{imported.path}: {imported.size / 1e6:.1f} MB"
    if verified:
        lines["written"] = f"{size}, loads strictly"
    elif args.verify:
        lines["written"] = f"{size}, not verified (give --data)"
    else:
        lines["written"] = f"{size}, not verified"
    return lines


FAIRSEQ = Origin(
    help="checkpoints of fairseq, of any age and form",
    description="Write the configuration and the weights of a fairseq checkpoint in today's "
    "format, without its training state. It may be of any version of fairseq from 0.4 on, in "
    "several files where they can be joined exactly, in safetensors, or have names that begin "
    "with 'module.'. Settings that name files are emptied; nothing of the checkpoint is run.",
    example=EXAMPLE,
    add_arguments=_add_arguments,
    run=_run,
)
