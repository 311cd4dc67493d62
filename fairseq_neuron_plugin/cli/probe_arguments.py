"""The arguments of ``fairseq-neuron-probe``, and the settings that they stand for."""

from __future__ import annotations

import argparse
from dataclasses import fields
from typing import Any

from ..errors import UserError
from ..labels import FORMATS, PROPERTIES
from ..probing.settings import SOLVERS, ProbeSettings
from .common import CommandParser
from .picture_formats import add_format
from .stores import add_verify

PROG = "fairseq-neuron-probe"
EXAMPLE = f"""\
  # parts of speech, with control tasks and the paper's ablation table
  {PROG} acts --labels train.pos --test-acts acts-test --test-labels test.pos \\
      --control-tasks 3 --ablate 10,15,20 --save-dir probe-pos
  # strengths of the penalty: a grid, of which the most selective setting is taken
  {PROG} acts --labels train.pos --grid auto --save-dir probe-auto
  # one feature of CoNLL-U; of the store a fifth of the sentences is for testing
  {PROG} acts --labels en_ewt-ud-train.conllu.gz --conllu-column feats:Number --save-dir probe
  # what needs no label file; 500 words of each label
  {PROG} acts --property position --balance 500 --save-dir probe-position
  {PROG} acts --property 'regex:.*ing' --save-dir probe-ing"""


def build_parser() -> CommandParser:
    """The command's arguments; those not given are None, or False."""
    parser = CommandParser(
        PROG,
        "Train a linear probe with an elastic-net penalty from neurons to labels, and measure it "
        "against the majority baseline and control tasks. The folder gets probe.npz, result.json "
        "and labels.csv; with --ablate ablation.csv and ablation.json; with --grid grid.csv, "
        "grid.json and a picture of it.",
        EXAMPLE,
    )
    _add_data(parser.add_argument_group("data"))
    _add_fit(parser.add_argument_group("fit"))
    _add_measurements(parser.add_argument_group("measurements"))
    parser.add_argument("--seed", type=int, help="of all that is drawn (default: 0)")
    add_format(parser)
    parser.add_argument("--save-dir", required=True, metavar="DIR", help="folder to write")
    return parser


def read_settings(args: argparse.Namespace) -> ProbeSettings:
    """The settings that were given.

    Raises:
        UserError: one that is out of range, or that does not apply beside the others.
    """
    names = [field.name for field in fields(ProbeSettings)]
    values: dict[str, Any] = {name: getattr(args, name) for name in names}
    given = {name: value for name, value in values.items() if value is not None}
    settings = ProbeSettings(**given)
    _refuse(
        given,
        {
            "solver adam": (settings.solver == "adam", ("tol", "max_iter")),
            "property": (settings.property is not None, ("label_format", "conllu_column")),
            "grid auto": (settings.picks, ("l1", "l2")),
        },
    )
    if "grid_margin" in given and not settings.picks:
        raise UserError("--grid-margin does not apply without --grid auto; leave it out")
    if args.format is not None and settings.plan is None:
        raise UserError("--format does not apply without --grid, which is drawn; leave it out")
    return settings


def _refuse(given: dict[str, Any], rules: dict[str, tuple[bool, tuple[str, ...]]]) -> None:
    """An error for a flag that would say nothing."""
    for beside, (holds, names) in rules.items():
        for name in names:
            if holds and name in given:
                flag = name.replace("_", "-")
                raise UserError(f"--{flag} does not apply to --{beside}; leave it out")


def _add_data(group: argparse._ArgumentGroup) -> None:
    group.add_argument("acts", metavar="ACTS", help="activation store to train on")
    add_verify(group)
    labels = group.add_mutually_exclusive_group(required=True)
    labels.add_argument(
        "--labels",
        metavar="FILE",
        help="one tag a word on lines parallel to the store's sentences; word<TAB>tag lines "
        "(.tsv); or CoNLL-U (.conllu); each may be gzipped",
    )
    labels.add_argument(
        "--property",
        metavar="NAME",
        help=f"labels without a file: {', '.join(PROPERTIES)}; position is the third of the "
        "sentence, a pattern is Python's and for whole words, a lexicon has a word or "
        "word<TAB>label a line",
    )
    group.add_argument("--label-format", choices=FORMATS, help="default: by the file's ending")
    group.add_argument(
        "--conllu-column",
        metavar="C",
        help="upos, xpos, feats, lemma, deprel, ..., a number from 1, or feats:Number, say "
        "(default: upos)",
    )
    group.add_argument(
        "--test-acts",
        metavar="ACTS",
        help="activation store to test on (default: a fifth of the sentences of the first one)",
    )
    group.add_argument("--test-labels", metavar="FILE", help="its labels, read as --labels are")
    group.add_argument(
        "--train-sentences", type=int, metavar="N", help="train on the first N sentences alone"
    )
    group.add_argument(
        "--test-sentences", type=int, metavar="N", help="test on the first N sentences alone"
    )
    group.add_argument(
        "--min-count",
        type=int,
        metavar="N",
        help="leave out of training the tokens of labels seen fewer than N times there",
    )
    group.add_argument(
        "--balance",
        type=_balance,
        nargs="?",
        const="rarest",
        metavar="N",
        help="train on at most N tokens of each label, drawn at random; without N as many as the "
        "rarest label has",
    )


def _add_fit(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--l1", type=float, help="default: 1e-5")
    group.add_argument("--l2", type=float, help="default: 1e-5")
    group.add_argument(
        "--solver",
        choices=SOLVERS,
        help="exact: to the optimum (default); adam: the authors' protocol, 10 epochs, to compare "
        "with published numbers",
    )
    group.add_argument("--tol", type=float, help="KKT residual to reach (default: 1e-6)")
    group.add_argument("--max-iter", type=int, help="most steps (default: 1000)")
    group.add_argument("--device", metavar="D", help="cpu (default), cuda, cuda:1, ...")


def _add_measurements(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--control-tasks",
        type=int,
        metavar="N",
        help="train on N tasks with random labels for the word types; what the probe is better "
        "by is its selectivity (Hewitt and Liang 2019; default: 0)",
    )
    group.add_argument(
        "--ablate",
        metavar="SHARES",
        help="percentages of neurons to keep, e.g. 10,15,20: accuracy with the top and the bottom "
        "of the linguistic ranking and with random neurons, masked and retrained",
    )
    group.add_argument(
        "--grid",
        metavar="SPEC",
        help="accuracies over a grid of --l1 and --l2, on a fifth of the training sentences that "
        "is held out for it: 0,1e-5,1e-3 for both, 0,1e-5:0,1e-3 (l1:l2) for each; auto or "
        "auto:0,1e-5,1e-3 also takes the most selective setting for the probe",
    )
    group.add_argument(
        "--grid-margin",
        type=float,
        metavar="M",
        help="what --grid auto may give away of the accuracy without penalty (default: 0.01)",
    )


def _balance(text: str) -> int | str:
    return text if text == "rarest" else int(text)
