"""``fairseq-neuron-bake``: a checkpoint in which neurons are dead, for stock fairseq."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from ..errors import UserError
from ..instruments.base import SCOPES
from .common import CommandParser, quiet_fairseq, run_command

if TYPE_CHECKING:
    from torch import Tensor

PROG = "fairseq-neuron-bake"
EXAMPLE = f"""\
  {PROG} data-bin --path checkpoint_best.pt \\
      --ablate linguistic.json:top:10% --output baked.pt
  fairseq-generate data-bin --path baked.pt --beam 5"""


def build_parser() -> CommandParser:
    """The command's arguments."""
    parser = CommandParser(
        PROG,
        "Write a checkpoint in which the neurons are dead for good: stock fairseq, without this "
        "plugin, makes of it what the live ablation makes of the original. Where no weights can "
        "do that exactly, nothing is written and the reason is given. The optimiser's state is "
        "left out.",
        EXAMPLE,
    )
    parser.add_argument(
        "data", nargs="?", help="folder with the dictionaries (default: the one of its training)"
    )
    parser.add_argument("--path", required=True, metavar="CKPT", help="the checkpoint")
    parser.add_argument(
        "--ablate",
        required=True,
        metavar="SPEC",
        help="neurons: a list such as 'encoder.layers.0:3,17-25', or a selection from a ranking "
        "such as 'RANKING.json:top:50'",
    )
    parser.add_argument(
        "--ablate-value",
        default="0",
        metavar="V",
        help="hold neurons at V (default 0), or 'mean': each at its mean over --ablate-acts",
    )
    parser.add_argument("--ablate-acts", metavar="ACTS", help="activation store of the mean")
    parser.add_argument(
        "--ablate-scope", choices=SCOPES, default="recurrent", help="default: recurrent"
    )
    parser.add_argument(
        "--ablate-layers", metavar="GLOBS", help="layers that flat neuron ids count through"
    )
    parser.add_argument(
        "--lang-dict",
        metavar="FILE",
        help="list of the languages, of a model that was trained with one",
    )
    parser.add_argument("--output", required=True, metavar="CKPT2", help="the checkpoint to write")
    parser.add_argument("--force", action="store_true", help="replace CKPT2 if it exists")
    return parser


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the command; ends the process."""
    # Intermixed: the folder may stand before, between or after the flags.
    args = build_parser().parse_intermixed_args(argv)
    run_command(PROG, lambda: _bake(args))


def _bake(args: argparse.Namespace) -> None:
    output = Path(args.output)
    if output.is_dir():
        raise UserError(f"--output {output} is a folder; name the file to write")
    if output.exists() and not args.force:
        raise UserError(f"{output} exists already; choose another name or add --force")
    quiet_fairseq()
    from ..baking import bake
    from ..interventions import list_layers
    from ..loading import load_model
    from ..specs import parse_spec

    overrides = {} if args.lang_dict is None else {"lang_dict": args.lang_dict}
    model, _ = load_model(args.path, args.data, overrides)
    neurons = parse_spec(args.ablate, list_layers(model), args.ablate_layers)
    value = _value(args, model, neurons)
    baked = bake(
        *(args.path, model, neurons, output, value, args.ablate_scope, args.data, args.lang_dict)
    )
    for name, count in baked.counts.items():
        print(f"{name}: {count} neurons baked")
    print(f"largest difference from the live ablation: {baked.difference:.1e} of the largest score")
    print(f"{baked.path}: {baked.size / 1e6:.1f} MB, for stock fairseq, without optimiser state")
    print("(on torch 2.6 or later stock fairseq loads a checkpoint only with --user-dir user_dir)")


def _value(
    args: argparse.Namespace, model: Any, neurons: Mapping[str, Sequence[int]]
) -> float | Mapping[str, Tensor]:
    """What the neurons are held at: a number, or the means of a store."""
    from ..activations import Activations
    from ..clamp_values import mean_values, number_or_store
    from ..interventions import list_layers

    held = number_or_store(args.ablate_value, args.ablate_acts)
    if isinstance(held, Activations):
        return mean_values(held, neurons, list_layers(model))
    return held


if __name__ == "__main__":
    main()
