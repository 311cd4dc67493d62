"""``fairseq-neuron-generate --set``: translate with neurons held at values, see what changes."""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..errors import UserError
from ..files import new_folder, read_lines, refuse_existing, sha256_file, write_json, write_text
from ..sweeps.shards import torchrun_rank
from .common import Progress, format_table
from .metric_arguments import metric_settings

if TYPE_CHECKING:
    from ..evaluation.control import Control
    from ..evaluation.decoding import Translator
    from ..evaluation.evaluator import Intervention
    from ..evaluation.scoring import Scorer
    from ..loading import Session

# What a sweep takes and control does not.
_OF_SWEEPS = (
    *("ranking", "label", "ablate", "order", "ablate_seed", "ablate_value", "ablate_acts"),
    *("shard", "workers", "points_together", "format"),
)


def add_control_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that stand instead of those of a sweep."""
    group = parser.add_argument_group("control, instead of --ranking and --ablate")
    group.add_argument(
        "--set",
        metavar="SPEC=V",
        help="hold neurons at values, e.g. 'encoder.layers.1:123=0.8;encoder.layers.0:3,17-25=-1', "
        "and show the translations without and with that",
    )
    group.add_argument(
        "--input",
        metavar="TEXT",
        help="translate this text, a sentence a line, not a split; - is the standard input; "
        "--tokenizer and --bpe segment it as in fairseq-interactive",
    )
    group.add_argument(
        "--show", type=int, default=20, metavar="N", help="sentences to print (default: 20)"
    )


def check_arguments(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """End with the parser's error unless the arguments are those of a sweep, or of control."""
    if args.set is None:
        missing = [
            flag
            for flag in ("--ranking", "--ablate", "--output-dir")
            if getattr(args, flag[2:].replace("-", "_")) is None
        ]
        if missing:
            hint = "; or --set, to translate --input" if args.input is not None else ""
            parser.error(f"the following arguments are required: {', '.join(missing)}{hint}")
        if args.input is not None:
            parser.error("--input goes with --set; a sweep evaluates a split")
        return
    for name in _OF_SWEEPS:
        if getattr(args, name) != parser.get_default(name):
            parser.error(f"--{name.replace('_', '-')} is for a sweep; leave it out with --set")
    if args.bootstrap < 0:
        parser.error(f"--bootstrap must be 0 or more, not {args.bootstrap}")


def run_control(
    args: argparse.Namespace, session: Session, metrics: Sequence[str] | None, prog: str
) -> None:
    """Translate without and with the neurons held; print and write what is different.

    Args:
        args: of the command.
        session: one model and its task.
        metrics: as for a sweep, where there are references; None for all.
        prog: the command's name.
    """
    from ..evaluation.control import control, score_control
    from ..evaluation.decoding import Translator
    from ..evaluation.evaluator import Intervention
    from ..interventions import list_layers
    from ..specs import parse_settings

    if torchrun_rank() is not None:
        raise UserError("--set is one run; start it without torchrun")
    if args.output_dir:
        refuse_existing(args.output_dir, "folder")
    neurons, values = parse_settings(args.set, list_layers(session.models[0]))
    _note_other_checkpoints(args.set, session.paths[0], prog)
    intervention = Intervention(neurons, values, args.ablate_scope)
    lines = _read(args.input) if args.input else None
    translator = Translator(session, args.gen_subset if lines is None else lines)
    scorer = _scorer(args, translator, metrics)
    sources = translator.sources() if lines is None else lines
    with Progress(2 * len(translator), "control", " sentences") as progress:
        found = control(translator, intervention, sources, progress)
    scores = score_control(found, scorer) if scorer else []
    _print(found, scores, args.show, whole=lines is not None)
    if scorer is not None:
        unablated = {row["metric"]: row["before"] for row in scores}
        for note in scorer.notes(unablated.get("bleu")):
            print(f"{prog}: note: {note}", file=sys.stderr)
    if args.output_dir:
        _write(args, _settings(args, session, intervention, found, scorer), found, scores)


def _read(path: str) -> list[str]:
    """A sentence a line, stripped, as by fairseq-interactive."""
    lines = _standard_input() if path == "-" else read_lines(path, "text")
    if not lines:
        raise UserError(f"there is no sentence in {'the standard input' if path == '-' else path}")
    return [line.strip() for line in lines]


def _standard_input() -> list[str]:
    try:
        text = sys.stdin.buffer.read().decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"the standard input is not UTF-8 (byte {error.start})") from error
    text = text.removeprefix("\ufeff")  # as of a file
    return text.removesuffix("\n").split("\n") if text else []


def _note_other_checkpoints(settings: str, path: str, prog: str) -> None:
    """Say when a ranking's neurons are not this model's: same shape, other neurons."""
    from ..specs import load_spec_ranking, split_settings

    for spec, _ in split_settings(settings):
        ranking = load_spec_ranking(spec)
        if ranking and ranking.model not in (None, sha256_file(path)):
            print(f"{prog}: note: {spec} is of another checkpoint", file=sys.stderr)


def _scorer(
    args: argparse.Namespace, translator: Translator, metrics: Sequence[str] | None
) -> Scorer | None:
    """Of the texts, where there are references."""
    from ..evaluation.scoring import METRICS, Scorer, read_references

    if args.reference:
        lines, origin = read_references(args.reference, len(translator)), "file"
    elif args.input or translator.pairs.tgt is None:
        if metrics is not None:
            raise UserError("--metrics needs something to score against: give --reference FILE")
        return None
    else:
        lines, origin = translator.references(), "data"
    chosen = [metric for metric in METRICS if metrics is None or metric in metrics]
    if not chosen:
        raise UserError("--metrics loss is for a sweep; with --set the translations are scored")
    language = getattr(translator.session.cfg.task, "target_lang", None)
    settings = metric_settings(args, language, chosen)
    return Scorer(lines, origin, chosen, args.bootstrap, settings)


def _print(found: Control, scores: Sequence[dict[str, Any]], show: int, whole: bool) -> None:
    """The first changed sentences, of a text also the others; and a summary."""
    rows = [row for row in found.rows() if row["changed"] or whole]
    for row in rows[: max(show, 0)]:
        print(f"{row['sentence']:>6}  {row['source']}")
        print(f"        {row['before']}")
        print(f"        {row['marked'] if row['changed'] else '(the same)'}")
    if len(rows) > max(show, 0):
        print(f"        ... and {len(rows) - max(show, 0)} more")
    changed = len(found.changed())
    share = changed / len(found.sources)
    print(f"{changed} of {len(found.sources)} translations changed ({share:.1%})")
    if scores:
        cells = [
            [row["metric"], row["before"], row["after"], row["p"] and f"{row['p']:.3f}"]
            for row in scores
        ]
        print(format_table(("metric", "before", "after", "p"), cells))


def _settings(
    args: argparse.Namespace,
    session: Session,
    intervention: Intervention,
    found: Control,
    scorer: Scorer | None,
) -> dict[str, Any]:
    """Everything that can change the result."""
    from ..evaluation.evaluator import run_settings, task_settings
    from ..evaluation.translation import search_settings
    from ..signature import short_hash, versions

    held = {
        name: dict(zip(ids, intervention.value[name].tolist(), strict=True))  # type: ignore[index]
        for name, ids in intervention.neurons.items()
    }
    run = run_settings(session, 12000)
    if args.input:
        run["batch"] = "by-length"
    settings = {
        "model": sha256_file(session.paths[0])[:12],
        "sources": short_hash("\n".join(found.sources)),
        "set": args.set,
        "held": short_hash(repr(held)),
        "scope": intervention.scope,
        **task_settings(session.cfg.task, ("source_lang", "target_lang")),
        **run,
        **search_settings(session.cfg),
        **versions("torch", "fairseq", "sacrebleu"),
    }
    if scorer is not None:
        settings["reference"] = f"{scorer.origin}={short_hash(chr(10).join(scorer.references))}"
        settings["bootstrap"] = args.bootstrap
        settings |= {f"sacrebleu.{name}": line for name, line in scorer.signatures().items()}
    return settings


def _write(
    args: argparse.Namespace,
    settings: dict[str, Any],
    found: Control,
    scores: Sequence[dict[str, Any]],
) -> None:
    from ..signature import format_signature

    rows = list(found.rows())
    with new_folder(args.output_dir, "folder") as folder:
        write_text(folder / "before.txt", "".join(f"{line}\n" for line in found.before))
        write_text(folder / "after.txt", "".join(f"{line}\n" for line in found.after))
        with open(folder / "changes.csv", "w", encoding="utf-8", newline="") as stream:
            writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        content = {
            "format": "fairseq-neuron-control/1",
            "signature": format_signature(settings),
            "settings": settings,
            "sentences": len(rows),
            "changed": len(found.changed()),
            "scores": scores,
            "rows": rows,
        }
        write_json(folder / "changes.json", content)
    print(f"written: {args.output_dir}")
