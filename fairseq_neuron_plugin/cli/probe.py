"""``fairseq-neuron-probe``: activations and labels to a probe with its accuracies and tables."""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any, NoReturn

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from tqdm import tqdm

from ..activations import Activations
from ..errors import UserError
from ..files import refuse_existing
from ..labels import FORMATS, PROPERTIES, property_labels, read_labels
from ..probing.baselines import MajorityBaseline
from ..probing.classifier_ablation import AblationRow, ablate_classifier
from ..probing.elastic_net import ElasticNetProbe
from ..probing.labelled import LabelledTokens, drop_rare, join_labels, split_by_sentence
from ..probing.objective import NonFiniteError
from ..probing.probe_folder import save_probe
from ..probing.scores import Scores, score_labels
from ..rankings import linguistic
from ..signature import format_signature, short_hash, versions
from .common import CommandParser, format_table, run_command

PROG = "fairseq-neuron-probe"
EXAMPLE = f"""\
  {PROG} acts --labels train.pos --test-acts acts-test --test-labels test.pos \\
      --ablate 10,15,20 --save-dir probe-pos
  {PROG} acts --labels en_ewt-ud-train.conllu.gz --conllu-column feats:Number --save-dir probe
  {PROG} acts --property position --save-dir probe-position"""


def build_parser() -> CommandParser:
    """The command's arguments."""
    parser = CommandParser(
        PROG,
        "Train a linear probe with an elastic-net penalty from neurons to labels, and measure it "
        "against the majority baseline. The folder gets probe.npz, result.json, labels.csv and "
        "ablation.csv.",
        EXAMPLE,
    )
    parser.add_argument("acts", metavar="ACTS", help="activation store to train on")
    labels = parser.add_mutually_exclusive_group(required=True)
    labels.add_argument(
        "--labels",
        metavar="FILE",
        help="one tag a word on lines parallel to the store's sentences; word<TAB>tag lines "
        "(.tsv); or CoNLL-U (.conllu); each may be gzipped",
    )
    labels.add_argument(
        "--property", metavar="NAME", help=f"a built-in property: {', '.join(PROPERTIES)}"
    )
    parser.add_argument("--label-format", choices=FORMATS, help="default: by the file's ending")
    parser.add_argument(
        "--conllu-column",
        default="upos",
        metavar="C",
        help="upos, xpos, feats, lemma, deprel, ..., a number from 1, or feats:Number, say "
        "(default: upos)",
    )
    parser.add_argument("--test-acts", metavar="ACTS", help="activation store to test on")
    parser.add_argument("--test-labels", metavar="FILE", help="its labels, read as --labels are")
    parser.add_argument(
        "--seed", type=int, default=0, help="without --test-acts: of the split by sentence, 80/20"
    )
    parser.add_argument("--l1", type=float, default=1e-5, help="default: 1e-5")
    parser.add_argument("--l2", type=float, default=1e-5, help="default: 1e-5")
    parser.add_argument("--tol", type=float, default=1e-6, help="KKT residual (default: 1e-6)")
    parser.add_argument("--max-iter", type=int, default=1000, help="most steps (default: 1000)")
    parser.add_argument(
        "--min-count",
        type=int,
        default=1,
        metavar="N",
        help="leave out of training the tokens of labels seen fewer than N times there",
    )
    parser.add_argument(
        "--ablate",
        metavar="SHARES",
        help="percentages of neurons to keep, e.g. 10,15,20: accuracy with the top and the bottom "
        "of the linguistic ranking, masked and retrained",
    )
    parser.add_argument("--save-dir", required=True, metavar="DIR", help="folder to write")
    return parser


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the command; ends the process."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    args = build_parser().parse_args(arguments)
    run_command(PROG, lambda: _probe(args, [PROG, *arguments]))


def _probe(args: argparse.Namespace, command: list[str]) -> None:
    _check_arguments(args)
    shares = _parse_shares(args.ablate)
    refuse_existing(args.save_dir, "probe folder")
    store = Activations(args.acts)
    tested = Activations(args.test_acts) if args.test_acts else store
    full, test = _read_data(args, store, tested)
    train, rare = drop_rare(full, args.min_count)
    _check_labels(train, args.min_count)

    with _progress() as (report, title):
        title("probe")
        probe = ElasticNetProbe(
            args.l1, args.l2, tol=args.tol, max_iter=args.max_iter, progress=report
        )
        with _finite(store, train):
            probe.fit(train.activations, train.labels)
            train_accuracy = float(probe.score(train.activations, train.labels))
        with _finite(tested, test):
            predicted = probe.predict(test.activations).tolist()
        rows: list[AblationRow] = []
        if shares:
            title("ablation")
            ranking = linguistic(probe.coef_, probe.classes_.tolist(), 1.0, store.layers)
            pair = (train.activations, train.labels), (test.activations, test.labels)
            rows = ablate_classifier(probe, ranking, *pair, shares, title)
    known = set(probe.classes_.tolist())
    scores = score_labels(test.labels.tolist(), predicted, known)
    result = {
        "signature": _signature(args, store, tested, train, test),
        "command": command,
        "settings": _settings(args),
        "train": {"accuracy": train_accuracy, "tokens": len(train), "sentences": train.sentences},
        "test": {"sentences": test.sentences, **scores.to_json()},
        "majority_baseline": _majority_accuracy(train, test),
        "left_out": rare,
        "ablation": [row.to_json() for row in rows],
        "solver": _solver_report(probe),
        "activations": {"train": store.signature, "test": tested.signature},
    }
    tables = {
        "labels.csv": [asdict(score) for score in scores.labels],
        "ablation.csv": [row.to_json() for row in rows],
    }
    save_probe(args.save_dir, probe, result, store.layers, store.model_sha256, tables)
    print(_summary(result, scores, rows))
    print(f"\n{args.save_dir}: {result['signature']}")


def _majority_accuracy(train: LabelledTokens, test: LabelledTokens) -> float:
    baseline = MajorityBaseline().fit(train.words.tolist(), train.labels.tolist())
    return float((np.asarray(baseline.predict(test.words.tolist())) == test.labels).mean())


def _check_arguments(args: argparse.Namespace) -> None:
    if args.test_labels and not args.test_acts:
        raise UserError("--test-labels needs --test-acts")
    if args.test_acts and not (args.test_labels or args.property):
        raise UserError("--test-acts needs --test-labels")
    if args.test_labels and args.property:
        raise UserError("--property makes the test labels too; leave --test-labels out")
    for name in ("l1", "l2", "tol"):
        if not 0 <= getattr(args, name) < float("inf"):
            raise UserError(f"--{name} must be a number of at least 0, not {getattr(args, name)}")
    for name in ("max_iter", "min_count"):
        if getattr(args, name) < 1:
            raise UserError(f"--{name.replace('_', '-')} must be at least 1")
    if args.seed < 0:
        raise UserError("--seed must be at least 0")


def _parse_shares(text: str | None) -> list[str]:
    """``10,15%`` as shares; a bare number is a percentage, as in the paper's tables."""
    shares = []
    for item in filter(None, (part.strip() for part in (text or "").split(","))):
        try:
            share = float(item.removesuffix("%"))
        except ValueError:
            share = -1.0
        if not 0 < share <= 100:
            raise UserError(f"--ablate takes percentages above 0 and up to 100, not {item!r}")
        shares.append(f"{share:g}%")
    return shares


def _read_data(
    args: argparse.Namespace, store: Activations, other: Activations
) -> tuple[LabelledTokens, LabelledTokens]:
    tokens = join_labels(store, _labels(args, store, args.labels))
    if not args.test_acts:
        return split_by_sentence(tokens, 0.2, args.seed)
    if other.layers != store.layers:
        raise UserError(
            f"{args.test_acts} holds other layers than {args.acts}: {other.layers.describe()}, "
            f"not {store.layers.describe()}"
        )
    if None not in (models := {store.model_sha256, other.model_sha256}) and len(models) > 1:
        raise UserError(f"{args.test_acts} was read from another checkpoint than {args.acts}")
    return tokens, join_labels(other, _labels(args, other, args.test_labels))


def _labels(args: argparse.Namespace, store: Activations, path: str | None) -> list[list[str]]:
    if args.property:
        return property_labels(args.property, store.sentences)
    assert path is not None
    return read_labels(path, store.sentences, args.conllu_column, args.label_format)


def _check_labels(train: LabelledTokens, min_count: int) -> None:
    labels = sorted(set(train.labels.tolist()))
    if len(labels) < 2:
        found = f"only {labels[0]!r}" if labels else "none"
        cut = f" at least {min_count} times" if min_count > 1 else ""
        raise UserError(f"a probe needs two labels; the training data holds{cut} {found}")


@contextmanager
def _finite(store: Activations, tokens: LabelledTokens) -> Iterator[None]:
    """Name the neuron and the sentence where an activation is no number."""
    try:
        yield
    except NonFiniteError as error:
        raise UserError(
            f"{store.path}: NaN or infinity in neuron {store.layers.name_of(error.column)}, "
            f"sentence {int(tokens.sentence[error.row]) + 1}"
        ) from error


@contextmanager
def _progress() -> Iterator[tuple[Callable[[int, float, float], None], Callable[[str], None]]]:
    """A bar on stderr, where that is a terminal.

    Gives two functions: one shows a round of the solver, the other names the stage.
    """
    with (
        tqdm(unit=" steps", file=sys.stderr, leave=False, disable=None) as bar,
        warnings.catch_warnings(),
    ):
        # Whether the solver converged stands in the table.
        warnings.simplefilter("ignore", ConvergenceWarning)

        def report(steps: int, objective: float, residual: float) -> None:
            bar.n = steps
            bar.set_postfix_str(f"objective {objective:.6f}, KKT residual {residual:.1e}")

        yield report, bar.set_description


def _settings(args: argparse.Namespace) -> dict[str, Any]:
    names = ("l1", "l2", "tol", "max_iter", "min_count", "property", "conllu_column", "seed")
    paths = ("acts", "labels", "test_acts", "test_labels", "ablate", "label_format")
    return {name: getattr(args, name) for name in (*names, *paths)}


def _signature(
    args: argparse.Namespace,
    store: Activations,
    tested: Activations,
    train: LabelledTokens,
    test: LabelledTokens,
) -> str:
    def content(tokens: LabelledTokens) -> str:
        pairs = zip(tokens.words, tokens.labels, strict=True)
        return short_hash("\n".join(f"{word}\t{label}" for word, label in pairs))

    return format_signature(
        {
            "probe": "elastic-net",
            "l1": args.l1,
            "l2": args.l2,
            "tol": args.tol,
            "max_iter": args.max_iter,
            "min_count": args.min_count,
            "split": "given" if args.test_acts else f"80/20,seed={args.seed}",
            "train": content(train),
            "test": content(test),
            "acts": short_hash(f"{store.signature}\n{tested.signature}"),
            **versions("numpy", "sklearn"),
        }
    )


def _solver_report(probe: ElasticNetProbe) -> dict[str, Any]:
    return {
        "objective": probe.objective_,
        "kkt_residual": probe.kkt_residual_,
        "converged": probe.kkt_residual_ <= probe.tol,
        "steps": probe.n_iter_,
        "passes": probe.n_passes_,
        "nonzero": int((probe.coef_ != 0).sum()),
        "weights": probe.coef_.size,
    }


def _summary(result: dict[str, Any], scores: Scores, rows: Sequence[AblationRow]) -> str:
    solver = result["solver"]
    state = "" if solver["converged"] else "; NOT CONVERGED, raise --max-iter"
    parts = [
        format_table(
            ["accuracy", "%", "tokens"],
            [
                ["train", 100 * result["train"]["accuracy"], result["train"]["tokens"]],
                ["test", 100 * scores.accuracy, scores.tokens],
                ["test, majority baseline", 100 * result["majority_baseline"], scores.tokens],
            ],
        ),
        f"{solver['nonzero']} of {solver['weights']} weights are not 0; objective "
        f"{solver['objective']:.6f}, KKT residual {solver['kkt_residual']:.1e}, "
        f"{solver['passes']} passes{state}",
        format_table(
            ["label", "precision", "recall", "F1", "tokens"],
            [
                [s.label, 100 * s.precision, 100 * s.recall, 100 * s.f1, s.support]
                for s in scores.labels
            ],
        ),
    ]
    if scores.unseen:
        unseen = ", ".join(f"{label} ({count})" for label, count in scores.unseen.items())
        parts.append(f"test labels that training did not have, counted as wrong: {unseen}")
    if rows:
        parts.append(
            format_table(
                ["neurons kept", "order", "number", "mask %", "retrain %"],
                [[r.share, r.order, r.kept, 100 * r.mask, 100 * r.retrain] for r in rows],
            )
        )
    return "\n\n".join(parts)


if __name__ == "__main__":
    main()
