"""scripts/reproduce_paper.py: what it concludes from the figures of a run."""

from __future__ import annotations

import pytest
import reproduction_toy as toy
from reproduction.evidence_views import lies_lower
from reproduction.finding import verdict
from reproduction.findings import all_findings


@pytest.mark.parametrize(
    ("cases", "word"),
    [
        ([True, True], "yes"),
        ([False], "no"),
        ([True, False, True], "in part (2 of 3)"),
        ([True, None], "in part (1 of 2, 1 undecided)"),
        ([False, None], "no (1 of 2 undecided)"),
        ([None, None], "undecided"),
        ([], "not asked"),
    ],
)
def test_verdicts(cases: list[bool | None], word: str) -> None:
    assert verdict(cases) == word


def verdicts(evidence: toy.Evidence) -> dict[str, str]:
    return {finding.claim: finding.verdict for finding in all_findings(evidence)}


def test_all_findings_hold_in_a_toy_in_which_they_do() -> None:
    assert set(verdicts(toy.evidence()).values()) == {"yes"}


def _swap_orders(evidence: toy.Evidence, ranking: str) -> None:
    other = {"top": "bottom", "bottom": "top"}
    for model in evidence["models"].values():
        for sweep in model["sweeps"].values():
            for row in sweep["rows"]:
                if row["ranking"] == ranking:
                    row["order"] = other[row["order"]]


def _worse_probes(evidence: toy.Evidence) -> None:
    for model in evidence["models"].values():
        for task in model["tasks"]:
            model["probes"][task]["accuracy"] = 0.45
            model["probes"][f"{task}.gold"]["accuracy"] = 0.45


def _open_focused(evidence: toy.Evidence) -> None:
    for group in evidence["focus"]["en.pos"]["groups"]:
        group["mean"] = 13 - group["mean"]


def _kinds_swapped(evidence: toy.Evidence) -> None:
    models = evidence["models"]
    for name in ("pos", "sem", "position"):
        one, other = (models[kind]["probes"][name] for kind in ("en-de", "lm.en"))
        one["ablation"], other["ablation"] = other["ablation"], one["ablation"]


def _position_last(evidence: toy.Evidence) -> None:
    for entry in evidence["models"]["en-de"]["position"]:
        entry["cross-model"] += 20


def _pos_hurts_more(evidence: toy.Evidence) -> None:
    for row in evidence["models"]["en-de"]["sweeps"]["A"]["rows"]:
        row["ranking"] = {"pos": "sem", "sem": "pos"}.get(row["ranking"], row["ranking"])


def _rankings_alike(evidence: toy.Evidence) -> None:
    for model in evidence["models"].values():
        model["overlap"]["share"][0] = [1.0, 0.5, 0.5, 0.5]


def _penalty_costs(evidence: toy.Evidence) -> None:
    for model in evidence["models"].values():
        model["grid"]["cells"][1]["accuracy"] -= 0.02


def _penalty_does_nothing(evidence: toy.Evidence) -> None:
    for model in evidence["models"].values():
        model["grid"]["cells"][1]["top_minus_bottom"] = 0.1


def _no_neuron_follows(evidence: toy.Evidence) -> None:
    for model in evidence["models"].values():
        for entry in model["position"]:
            entry["explained"] = 0.4


def _words_of_other_labels(evidence: toy.Evidence) -> None:
    for model in evidence["models"].values():
        for labels in model["label_words"].values():
            labels[0]["probability"] = 0.06


def _none_shared(evidence: toy.Evidence) -> None:
    for model in evidence["models"].values():
        model["shared"]["by_number_of_labels"] = [10, 30]


def _shared_as_by_chance(evidence: toy.Evidence) -> None:
    for model in evidence["models"].values():
        model["shared"]["by_chance"] = [10.0, 20.0, 10.0]


def _swap_kept(evidence: toy.Evidence, how: str) -> None:
    other = {"top": "bottom", "bottom": "top"}
    for model in evidence["models"].values():
        for probe in model["probes"].values():
            kept = {(row["share"], row["order"]): row[how] for row in probe["ablation"]}
            for row in probe["ablation"]:
                row[how] = kept[row["share"], other.get(row["order"], row["order"])]


@pytest.mark.parametrize(
    ("change", "key"),
    [
        (_penalty_costs, "With λ1 = λ2 = 1e-5"),
        (_penalty_does_nothing, "With λ1 = λ2 = 1e-5"),
        (_no_neuron_follows, "A single neuron follows"),
        (_words_of_other_labels, "Neurons are found that answer"),
        (_none_shared, "Some neurons are shared"),
        (_shared_as_by_chance, "Some neurons are shared"),
        (lambda e: _swap_kept(e, "mask"), "In the classifier the top 10%"),
        (lambda e: _swap_kept(e, "retrain"), "Retrained on the top 10%"),
        (lambda e: _swap_kept(e, "retrain"), "Retrained on the top 20%"),
        (
            lambda e: (_swap_orders(e, "pos"), _swap_orders(e, "sem")),
            "Ablating the top of a linguistic ranking hurts",
        ),
        (lambda e: _swap_orders(e, "cross-model"), "Ablating the cross-model top"),
        (lambda e: _swap_orders(e, "cross-model"), "Cross-model beats variance"),
        (lambda e: _swap_orders(e, "cross-model"), "Cross-model beats mean-distance"),
        (
            lambda e: (_swap_orders(e, "pos"), _swap_orders(e, "sem")),
            "Ablating the top of a linguistic ranking raises",
        ),
        (lambda e: _swap_orders(e, "cross-model"), "In language models perplexity"),
        (_worse_probes, "Classifiers beat the majority"),
        (_worse_probes, "They also do with tags"),
        (_open_focused, "Closed classes are focused"),
        (_kinds_swapped, "Translation models are more distributed"),
        (_position_last, "Position neurons stand on top"),
        (_pos_hurts_more, "Neurons of semantic tags hurt"),
        (_rankings_alike, "Cross-model has less than 10%"),
    ],
)
def test_a_finding_that_does_not_hold_is_a_no(change: object, key: str) -> None:
    evidence = toy.evidence()
    change(evidence)  # type: ignore[operator]
    found = [word for claim, word in verdicts(evidence).items() if claim.startswith(key)]
    assert found == ["no"]


def test_the_loss_is_told_where_it_was_measured() -> None:
    evidence = toy.evidence()

    def told() -> list[str]:
        return [
            one.claim for one in all_findings(evidence) if "loss of the references" in one.figures
        ]

    assert len(told()) == 5
    for sweep in evidence["models"]["en-de"]["sweeps"].values():
        for row in sweep["rows"]:
            del row["loss"]
    assert told() == []


def figures(evidence: toy.Evidence, claim: str) -> str:
    (found,) = (one.figures for one in all_findings(evidence) if one.claim.startswith(claim))
    return found


def test_what_the_loss_says_is_told_and_does_not_decide() -> None:
    evidence = toy.evidence()
    # At 10 and 20% the toy's loss is 4 and half or all of what the ranking takes.
    assert "bits a symbol (loss of the references) more" in figures(evidence, "Ablating the cross")
    assert figures(evidence, "Ablating the cross").count("A +8.25, en-de B +8.25") == 2
    assert "loss of the references: yes, top and bottom are apart" in figures(
        evidence, "Cross-model beats v"
    )
    for sweep in evidence["models"]["en-de"]["sweeps"].values():
        for row in sweep["rows"]:
            row["loss"] = 30 - row["loss"]
            row["loss_low"], row["loss_high"] = row["loss"] - 0.1, row["loss"] + 0.1
    assert set(verdicts(evidence).values()) == {"yes"}
    assert "A -8.25, en-de B -8.25; with 10% ablated the top is the worse one in 0 of 2" in figures(
        evidence, "Ablating the cross"
    )
    assert "loss of the references: no, top and bottom" in figures(evidence, "Cross-model beats v")


def test_what_position_and_kinds_rest_on() -> None:
    evidence = toy.evidence()
    assert figures(evidence, "Position").endswith("(10 by chance): en-de 25")
    told = figures(evidence, "Translation models are")
    assert "10.0 points in translation models, 50.0 in language models; without position" in told
    assert told.endswith("further apart in language models in 1 of 2 cells")


def test_curves_whose_intervals_overlap_decide_nothing() -> None:
    evidence = toy.evidence()
    for model in evidence["models"].values():
        for sweep in model["sweeps"].values():
            for row in sweep["rows"]:
                for metric in {"bleu", "perplexity"} & set(row):
                    row[f"{metric}_low"], row[f"{metric}_high"] = 0.0, 100.0
    found = verdicts(evidence)
    assert [word for claim, word in found.items() if "BLEU more" in claim] == ["undecided"] * 3
    assert [word for claim, word in found.items() if "Cross-model beats" in claim] == [
        "undecided",
        "undecided",
    ]


@pytest.mark.parametrize(
    ("one", "other", "lower"),
    [
        ((5, 5), (9, 9), True),
        ((9, 9), (5, 5), False),
        ((5, 5.1), (5.2, 5), None),  # within their intervals
        ((1, 9.5), (9, 9), True),  # at one point clearly, at the other within the intervals
        ((1, 9), (9, 5), None),  # there one, here the other
        ((7, 8.9, 8.9), (9, 8, 8), True),
        ((7.9, 8.9, 8.9), (9, 8, 8), None),  # clear at one point, but not the one the mean follows
    ],
)
def test_which_of_two_curves_lies_lower(
    one: tuple[float, ...], other: tuple[float, ...], lower: bool | None
) -> None:
    curves = [
        [
            {"ablated": n + 1, "bleu": value, "bleu_low": value - 0.5, "bleu_high": value + 0.5}
            for n, value in enumerate(values)
        ]
        for values in (one, other)
    ]
    assert lies_lower(*curves, "bleu") is lower
