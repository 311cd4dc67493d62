"""The page of a reproduction: what the paper says, what was found, and whether they agree."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from reproduction.corpora import write_lines
from reproduction.curve_sections import curve_sections
from reproduction.evidence import digest
from reproduction.finding import Finding
from reproduction.findings import all_findings
from reproduction.markdown import Section, folded, shrink, table
from reproduction.neuron_sections import neuron_sections
from reproduction.probe_sections import probe_sections
from reproduction.reading import Reading, read_reading

Evidence = dict[str, Any]
PUBLISHED = Path(__file__).parent / "published.yaml"
# As in the paper: classifiers, models under ablation, neurons.
ORDER = (
    *("accuracy", "grid", "heatmap", "mask", "retrain", "words", "cross_model", "methods"),
    *("overlap", "focus", "shared", "linguistic", "language_model", "position", "kinds"),
)


def write_page(
    evidence: Evidence, notes: Sequence[str], run: Path, page: Path, command: str
) -> None:
    """Write the page, with its pictures in a folder of its name beside it.

    Args:
        evidence: of `evidence.collect`.
        notes: what differs from the paper.
        run: folder of the run, whose pictures are copied.
        page: the Markdown file; what was written by hand in ``…-reading.md`` beside it is linked,
            and its reasons are shown if it is about this run, see `reading`.
        command: that made the run.
    """
    pictures = page.with_suffix("")
    published = OmegaConf.to_container(OmegaConf.load(PUBLISHED))
    findings = all_findings(evidence)
    sections = {
        section.key: section
        for section in (
            *probe_sections(evidence, run, pictures),
            *curve_sections(evidence, pictures),
            *neuron_sections(evidence, run, pictures),
        )
    }
    reading = read_reading(page, ORDER)
    reasons = reading if reading and reading.evidence == digest(evidence) else None
    lines = [
        *_head(evidence, notes, published["source"], command),
        *_findings(findings),
        *_reading(reading, reasons),
        *_data(evidence),
        *_taggers(evidence),
    ]
    for key in ORDER:
        if key in sections:
            lines += _section(sections[key], published.get(key, {}), findings, reasons)
    lines += _account(evidence)
    for picture in pictures.glob("*.png"):
        shrink(picture)
    write_lines(page, lines)


def _head(evidence: Evidence, notes: Sequence[str], source: str, command: str) -> Iterator[str]:
    yield f"# {evidence['config']}"
    yield ""
    yield (
        "Dalvi et al. (AAAI 2019), “What Is One Grain of Sand in the Desert? Analyzing Individual "
        "Neurons in Deep NLP Models”, done again with this package. Every number below was read "
        "from the files of the run by the script that ran it."
    )
    yield f"\n```\n{command}\n```\n"
    shown = ", ".join(f"{name} {version}" for name, version in evidence["versions"].items())
    seconds = sum(kind["seconds"] for kind in evidence["account"].values())
    yield (
        f"Seed {evidence['seed']} (models {', '.join(evidence['parts'])}: {evidence['seed']} and "
        f"the following); {shown}. The steps took {seconds / 60:.0f} minutes, one after another; "
        f"they ran side by side. Digest of all figures, signatures and versions: "
        f"{digest(evidence)}."
    )
    yield "\nWhat differs from the paper:\n"
    yield from (f"- {note}" for note in notes)
    yield f"\nWhat the paper says is quoted in short below. Source: {source}."


def _findings(findings: Sequence[Finding]) -> Iterator[str]:
    yield "\n## Findings of the paper, and whether they hold here\n"
    yield table(
        ["finding", "holds here", "evidence"],
        ([f.claim, f"**{f.verdict}**", f.figures] for f in findings),
    ).replace("---:", "---")
    yield (
        "\nOf curves the mean over the points counts, in each model; a case is undecided where the "
        "95% intervals overlap at every point, or do not at points that contradict one another or "
        "the mean. The other verdicts are plain comparisons. All of it is one run with one seed a "
        "model: a yes is a tendency, not a proof."
    )


def _reading(reading: Reading | None, reasons: Reading | None) -> Iterator[str]:
    """A link to what was written by hand about the findings, if somebody did."""
    if reading is not None:
        link = f"[{reading.name}]({reading.link()})"
        other = f" (about a run of other figures, {reading.evidence or 'it does not say which'})"
        yield (f"\nWhat was tried where a finding does not hold: {link}{'' if reasons else other}.")


def _data(evidence: Evidence) -> Iterator[str]:
    yield "\n## Data and models\n"
    rows = [
        [f"{corpus} {split}", count["sentences"], count["words"]]
        for corpus, splits in evidence["texts"].items()
        for split, count in splits.items()
    ]
    yield table(["text", "sentences", "words"], rows)
    shares = (f"{100 * share:.0f}% ({name})" for name, share in evidence["repeated"].items())
    yield (
        "\nNo pair is in two parts. A sentence with several translations may be: of the distinct "
        f"sentences of part A {', '.join(shares)} also stand in another part.\n"
    )
    models = []
    for name, model in evidence["models"].items():
        metric = "perplexity" if model["is_lm"] else "bleu"
        unablated = [
            f"{next(row for row in sweep['rows'] if row['ablated'] == 0)[metric]:.1f}"
            for sweep in model["sweeps"].values()
        ]
        words = {split: model["probes"]["position"]["tokens"][split] for split in ("train", "test")}
        models.append(
            [
                name,
                model["neurons"],
                f"{'perplexity' if model['is_lm'] else 'BLEU'} {', '.join(unablated)}",
                words["train"],
                words["test"],
            ]
        )
    header = [
        "model",
        "neurons",
        "test set, model by model",
        "classifier: training words",
        "test words",
    ]
    yield table(header, models)


def _taggers(evidence: Evidence) -> Iterator[str]:
    yield "\n## Taggers\n"
    yield (
        "The classifiers' automatic tags come from taggers that were trained in this run (spaCy, "
        "without pretrained vectors); accuracy on the hand-annotated test part.\n"
    )
    rows = []
    for name, found in evidence["taggers"].items():
        unseen = found["accuracy_unseen"]
        rows.append(
            [
                name,
                found["labels"],
                found["train_words"],
                found["words"],
                100 * found["majority_baseline"],
                100 * found["accuracy"],
                100 * unseen if unseen is not None else "",
            ]
        )
    header = ["tagger", "tags", "training words", "test words", "MAJ %", "accuracy %"]
    yield table([*header, "of unseen words %"], rows)


def _section(
    section: Section,
    published: dict[str, Any],
    findings: Sequence[Finding],
    reading: Reading | None,
) -> Iterator[str]:
    item = published.get("item")
    yield f"\n## {section.title}{f' ({item})' if item else ''}\n"
    if published:
        yield f"*The paper:* {published['says']}\n"
        if rows := published.get("table"):
            yield f"The paper's figures:\n\n{table(rows[0], rows[1:])}\n"
    for finding in findings:
        if finding.key == section.key:
            yield f"*Here:* {finding.claim}: **{finding.verdict}**.\n"
    if reading and section.key in reading.reasons:
        reason, heading = reading.reasons[section.key]
        yield f"*Why:* {reason} ([more]({reading.link(heading)}))\n"
    for part in section.body:
        yield f"{part}\n"


def _account(evidence: Evidence) -> Iterator[str]:
    yield "\n## What was run\n"
    rows = [
        [kind, found["steps"], found["seconds"], f"{found['seconds'] / found['steps']:.0f}"]
        for kind, found in evidence["account"].items()
    ]
    yield table(["steps", "how many", "seconds", "each"], rows)
    yield "\nA command of each kind, from the run's folder:\n"
    yield "```"
    shown: set[str] = set()
    for name, command in evidence["commands"].items():
        kind = name.partition(".")[0]
        if kind not in shown:
            shown.add(kind)
            yield shlex.join(_shortened(word) for word in command)
    yield "```"
    signatures = []
    for name, model in evidence["models"].items():
        for task, probe in model["probes"].items():
            signatures.append(f"- {name} {task}: `{probe['signature']}`")
        for part, sweep in model["sweeps"].items():
            signatures.append(f"- {name} {part}: `{_points_counted(sweep['signature'])}`")
    yield "\n" + folded("Signatures of all classifiers and sweeps", "\n".join(signatures))


def _points_counted(signature: str) -> str:
    """Without the list of all points, which the tables show."""
    return re.sub(r"points:([^|]*)", lambda found: f"points:{found[1].count(',') + 1}", signature)


def _shortened(word: str) -> str:
    """Paths of this machine say nothing to a reader."""
    return Path(word).name if word.startswith("/") else word
