"""scripts/reproduce_paper.py: configuration, steps and page; not the long run."""

from __future__ import annotations

import gzip
import json
import os
import sys
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import pytest
import reproduction_toy as toy

sys.path.insert(0, str(Path(__file__).parent.parent / "scripts"))

from reproduce_paper import plan
from reproduction import trial
from reproduction.config import CONFIGS, ConfigError, Corpus, load_config, settings_of
from reproduction.corpora import read_tagged, training_parts
from reproduction.evidence import count_numbers, differences, digest
from reproduction.evidence_views import lies_lower
from reproduction.finding import verdict
from reproduction.findings import all_findings
from reproduction.folder import evidence_of, hold_settings, input_files, lock, take_models
from reproduction.layout import Layout
from reproduction.page import write_page
from reproduction.preparation import month_sentences, write_corpus, write_probe_texts
from reproduction.runner import Journal, Runner, Step, StepError
from reproduction.tagger import accuracy

CONLLU = """# text = Don't stop
1-2\tDon't\t_\t_\t_\t_\t_\t_\t_\t_
1\tDo\tdo\tAUX\tVBP\tMood=Ind|Number=Sing|Person=2\t3\taux\t_\t_
2\tn't\tnot\tPART\tRB\t_\t3\tadvmod\t_\t_
3\t1 000\t_\tNUM\tCD\tNumType=Card\t0\troot\t_\t_

1\tGo\tgo\tVERB\tVB\tVerbForm=Inf\t0\troot\t_\t_
"""


def written(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("name", ["small", "paper"])
def test_every_step_has_what_it_needs(name: str, tmp_path: Path) -> None:
    steps = plan(Layout(load_config(name), tmp_path, tmp_path))
    made = {step.result for step in steps}
    assert len(made) == len(steps) == len({step.name for step in steps})
    assert not {need for step in steps for need in step.needs} - made


@pytest.mark.parametrize("name", ["small", "paper"])
def test_all_tasks_of_the_paper_are_probed(name: str, tmp_path: Path) -> None:
    config = load_config(name)
    names = {step.name for step in plan(Layout(config, tmp_path, tmp_path))}
    for language, tasks in {"en": "pos sem", "de": "pos morph", "fr": "pos morph"}.items():
        models = [f"{d.source}-{d.target}" for d in config.directions if d.source == language]
        for model in (*models, *(f"lm.{language}" for _ in models)):
            for task in (*tasks.split(), "position", "months"):
                assert f"probe.{model}.{task}" in names


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (("pairs: 40000", "pairs: many"), "pairs"),
        (("seed: 1", "sed: 1"), "sed"),
        (("parts: 3", "parts: 1"), "parts"),
        (("corpus: tatoeba}", "corpus: europarl}"), "europarl"),
        (("target: de,", "target: fr,"), "en-fr"),
        (("source: de, target: en", "source: en, target: de"), "same source"),
        (("    pairs: 40000\n", ""), "corpora.tatoeba.pairs"),
        (("seed: 1", "seed: [1"), "line 9"),
        (("      sem:", "      position:"), "task position"),
        (("      sem:", "      sem.tags:"), "task sem.tags"),
        (("column: xpos", "column: XPOS"), "XPOS"),
        (("valid.tok.{lang}.gz", "valid.tok.gz"), "corpora.tatoeba.valid"),
        (("points: 0,1%", "points: 1%"), "points"),
    ],
)
def test_a_bad_configuration_is_named(change: tuple[str, str], named: str, tmp_path: Path) -> None:
    text = (CONFIGS / "small.yaml").read_text(encoding="utf-8")
    assert change[0] in text
    path = written(tmp_path / "bad.yaml", text.replace(*change))
    with pytest.raises(ConfigError, match=named) as error:
        load_config(str(path))
    assert "\n" not in str(error.value)


def test_an_unknown_configuration_names_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="paper, small"):
        load_config("smal")


def test_a_line_without_a_tab_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"a\.tsv, line 2: no tab"):
        list(read_tagged(written(tmp_path / "a.tsv", "I\tPRO\nam\n"), ""))


@pytest.mark.parametrize(
    ("column", "tags"),
    [
        ("upos", ["AUX", "PART", "NUM"]),
        ("xpos", ["VBP", "RB", "CD"]),
        ("feats:Number,Person", ["Number=Sing|Person=2", "_", "_"]),
    ],
)
def test_conllu(column: str, tags: list[str], tmp_path: Path) -> None:
    first, second = read_tagged(written(tmp_path / "a.conllu.gz", CONLLU), column)
    assert first == list(zip(["Do", "n't", "1000"], tags, strict=True))
    assert len(second) == 1


def test_an_unknown_column_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="lemma"):
        list(read_tagged(written(tmp_path / "a.conllu", CONLLU), "lemma"))


def test_words_joined_by_a_tilde_become_several(tmp_path: Path) -> None:
    path = written(tmp_path / "a.tsv", "New~Yo rk\tGPE\n.\tNIL\n\n\nI\tPRO\n")
    assert list(read_tagged(path, "")) == [
        [("New", "GPE"), ("York", "GPE"), (".", "NIL")],
        [("I", "PRO")],
    ]


def corpus(pattern: str, pairs: int) -> Corpus:
    return Corpus(train=pattern, languages=["en", "de"], pairs=pairs, max_words=3)


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """20 pairs, twice each, and two that are too long or empty."""
    for language in ("en", "de"):
        lines = [f"{language} {number}" for number in range(20)] * 2
        text = "\n".join([*lines, "a b c d", "" if language == "de" else "x"]) + "\n"
        written(tmp_path / f"train.{language}", text)
        written(tmp_path / f"train.A.{language}", text)
        written(tmp_path / f"train.B.{language}", text.replace(" 1", " 3"))
    return tmp_path


@pytest.mark.parametrize("pattern", ["train.{lang}", "train.{part}.{lang}"])
def test_parts_are_disjoint_and_the_same_again(pattern: str, pairs: Path) -> None:
    parts = training_parts(pairs, corpus(pattern, 8), "AB", seed=1)
    assert [len(part) for part in parts.values()] == [8, 8]
    assert not set(parts["A"]) & set(parts["B"])
    assert all(one.split()[1] == other.split()[1] for one, other in parts["A"])
    assert parts == training_parts(pairs, corpus(pattern, 8), "AB", seed=1)
    assert parts != training_parts(pairs, corpus(pattern, 8), "AB", seed=2)


def test_too_few_pairs_are_counted(pairs: Path) -> None:
    with pytest.raises(ConfigError, match=r"part B has 8 pairs.* 12 are asked for"):
        training_parts(pairs, corpus("train.{lang}", 12), "AB", seed=1)


def test_month_sentences() -> None:
    text = ["in May", "a", "b", "June", "c", "I may", "March 3", "d", "e", "July"]
    train, test = month_sentences(text, without=1)
    assert train == ["in May", "a", "June", "b", "March 3", "c"]
    assert test == ["July", "I may"]
    train, test = month_sentences(["no", "month", "here"])
    assert train or test


def small(tmp_path: Path) -> Layout:
    """The small configuration over the toy's text."""
    config = load_config("small")
    del config.directions[1], config.languages["de"], config.languages["en"].tasks["sem"]
    only = config.corpora["tatoeba"]
    only.pairs, only.valid_pairs, only.test_pairs = 6, 2, 2
    config.classifier.train_sentences, config.classifier.test_sentences = 3, 2
    data = tmp_path / "data"
    for split in ("train", "valid", "test"):
        for kind in ("tok", "raw"):
            for language in ("en", "de"):
                lines = "\n".join(f"{language} {number % 15}" for number in range(30)) + "\n"
                written(data / f"tatoeba_de_en/{split}.{kind}.{language}.gz", lines)
    for split in ("train", "test"):
        written(data / f"ud_en_ewt/en_ewt-ud-{split}.conllu.gz", CONLLU)
    return Layout(config, data, tmp_path / "run")


def test_texts_of_the_probes_are_training_text(tmp_path: Path) -> None:
    layout = small(tmp_path)
    config = layout.config
    config.parts = 2
    write_corpus(layout, "tatoeba")
    write_probe_texts(layout, "en")
    train, test = (
        (layout.folder / layout.words("en", "auto", split)).read_text().splitlines()
        for split in ("train", "test")
    )
    source = (layout.folder / layout.text("tatoeba", "A", "en")).read_text().splitlines()
    assert (len(train), len(test)) == (3, 2)
    assert not set(train) & set(test)
    assert set(train) | set(test) <= set(source)
    tags = layout.folder / layout.tags("en", "gold-pos", "pos", "test")
    assert tags.read_text() == "VBP RB CD\nVB\n"
    words = layout.folder / layout.words("en", "gold-pos", "test")
    assert words.read_text() == "Do n't 1000\nGo\n"


def touch(folder: Path, name: str, order: list[str], *needs: str) -> Step:
    def do() -> None:
        order.append(name)
        (folder / name).write_text("")

    return Step(name, "kind", name, do, needs=needs)


def test_steps_wait_for_what_they_need_and_run_once(tmp_path: Path) -> None:
    order: list[str] = []
    steps = [
        touch(tmp_path, "last", order, "first", "second"),
        touch(tmp_path, "second", order, "first"),
        touch(tmp_path, "first", order),
    ]
    Runner(tmp_path, 2).run(steps)
    assert order == ["first", "second", "last"]
    (tmp_path / "second").unlink()
    with open(tmp_path / "journal.jsonl", "a") as journal:
        journal.write('{"step": "cut sh')
    Runner(tmp_path, 2).run(steps)
    assert order == ["first", "second", "last", "second", "last"]
    assert not Runner(tmp_path, 2).left(steps)


def test_the_journal_counts_the_time_of_stopped_attempts(tmp_path: Path) -> None:
    path, step = tmp_path / "journal.jsonl", Step("step", "kind", "result", ("true",))
    Journal(path).add(step, 2.0, stopped=True)
    Journal(path).add(step, 3.0, stopped=True)
    assert not Journal(path).entries
    Journal(path).add(step, 4.0)
    assert Journal(path).entries["step"]["seconds"] == 9.0


def test_a_failing_command_ends_the_others_and_names_its_log(tmp_path: Path) -> None:
    steps = [
        Step("sleeps", "kind", "sleeps", ("sh", "-c", "sleep 60; touch sleeps")),
        Step("fails", "kind", "fails", ("sh", "-c", "echo no room; exit 3")),
        Step("after", "kind", "after", ("touch", "after"), needs=("fails",)),
    ]
    with pytest.raises(StepError, match=r"(?s)fails ended with 3; see .*fails\.log.*no room"):
        Runner(tmp_path, 2).run(steps)
    assert not (tmp_path / "sleeps").exists()
    assert not (tmp_path / "after").exists()
    assert not Journal(tmp_path / "journal.jsonl").entries


def test_what_depends_on_a_redone_step_is_redone(tmp_path: Path) -> None:
    def steps(word: str) -> list[Step]:
        return [
            Step("one", "kind", "one", ("sh", "-c", f"echo {word} > one")),
            Step("two", "kind", "two", ("cp", "one", "two"), needs=("one",)),
            Step("three", "kind", "three", ("touch", "three")),
        ]

    Runner(tmp_path, 1).run(steps("a"))
    assert not Runner(tmp_path, 1).left(steps("a"))
    assert [step.name for step in Runner(tmp_path, 1).left(steps("b"))] == ["one", "two"]
    Runner(tmp_path, 1).run(steps("b"))
    assert (tmp_path / "two").read_text() == "b\n"


def test_a_resuming_step_keeps_what_it_had_unless_it_was_finished(tmp_path: Path) -> None:
    command = ("sh", "-c", "ls folder > seen; mkdir -p folder; touch folder/result")
    step = Step("step", "kind", "folder/result", command, folder="folder", resumes=True)
    written(tmp_path / "folder/half", "")
    Runner(tmp_path, 1).run([step])
    assert (tmp_path / "seen").read_text() == "half\n"
    Runner(tmp_path, 1).run([replace(step, do=(*command, "changed"))])
    assert (tmp_path / "seen").read_text() == ""


def test_what_a_stopped_run_left_is_cleared(tmp_path: Path) -> None:
    command = ("sh", "-c", "mkdir folder && touch folder/result")
    written(tmp_path / "folder/half", "")
    step = Step("step", "kind", "folder/result", command, folder="folder")
    Runner(tmp_path, 1).run([step])
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["result"]


def test_a_step_that_writes_nothing_is_no_success(tmp_path: Path) -> None:
    with pytest.raises(StepError, match="was not written"):
        Runner(tmp_path, 1).run([Step("idle", "kind", "result", ("true",))])


def test_a_folder_is_for_one_set_of_settings_and_input(tmp_path: Path) -> None:
    layout = small(tmp_path)
    layout.folder.mkdir()
    hold_settings(layout)
    changed = deepcopy(layout.config)
    changed.title, changed.seconds, changed.seed = "other", {}, 7
    other = Layout(changed, layout.data, layout.folder)
    hold_settings(other)  # nothing was done yet
    written(layout.folder / "journal.jsonl", "")
    hold_settings(other)
    with pytest.raises(ConfigError, match=r"then seed: 7, now seed: 1"):
        hold_settings(layout)
    text = layout.data / "tatoeba_de_en/test.raw.de.gz"
    written(text, "another")
    with pytest.raises(ConfigError, match=r"test\.raw\.de\.gz"):
        hold_settings(other)
    text.unlink()
    with pytest.raises(ConfigError, match=r"no such file: .*test\.raw\.de\.gz"):
        input_files(layout)


def test_one_run_at_a_time(tmp_path: Path) -> None:
    held = lock(tmp_path)
    with pytest.raises(ConfigError, match="still at work"):
        lock(tmp_path)
    os.close(held)
    os.close(lock(tmp_path))


def test_settings_hold_everything_but_words_about_it() -> None:
    config = load_config("small")
    before = settings_of(config)
    config.directions[0].target = "nl"
    config.languages["de"].tasks["pos"].open.append("X")
    assert len(set(settings_of(config)) - set(before)) == 2


def test_models_of_another_run_are_taken_and_no_more(tmp_path: Path) -> None:
    layout = small(tmp_path)
    steps = plan(layout)
    first = Runner(tmp_path / "first", 1)
    written(first.folder / "journal.jsonl", "")
    hold_settings(Layout(layout.config, layout.data, first.folder))
    for folder in ("text", "dict", "bin", "models"):
        (first.folder / folder).mkdir()
    again = Runner(layout.folder, 1)
    with pytest.raises(ConfigError, match=r"text\.tatoeba is not done"):
        take_models(first.folder, layout, again.journal, steps)
    for step in steps:
        written(first.folder / step.result, "")
        first.journal.add(step, 1.0)
    take_models(first.folder, layout, again.journal, steps)
    for runner in (again, Runner(layout.folder, 1)):
        kinds = {step.kind for step in runner.left(steps)}
        assert {"probe", "train tagger"} <= kinds
        assert not kinds & {"train translation", "train language model"}
    assert all(entry["seconds"] == 0 for entry in again.journal.entries.values())
    layout.config.seed = 7
    with pytest.raises(ConfigError, match="seed"):
        take_models(first.folder, layout, Runner(tmp_path / "other", 1).journal, steps)


def test_what_is_compared_must_be_another_finished_run(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="itself"):
        evidence_of(tmp_path, tmp_path / "." / "x" / "..")
    with pytest.raises(ConfigError, match="no finished run"):
        evidence_of(tmp_path / "other", tmp_path)


def test_a_trial_has_every_kind_of_step_and_leaves_the_settings_alone(tmp_path: Path) -> None:
    config = load_config("paper")
    before = settings_of(config)
    cut = trial.cut(config)
    assert settings_of(config) == before
    steps = plan(Layout(cut, tmp_path, tmp_path))
    chosen = trial.first_of_each_kind(steps)
    assert {step.kind for step in chosen} == {step.kind for step in steps} - {"report"}
    made = {step.result for step in chosen}
    assert all(need in made for step in chosen for need in step.needs)
    assert trial.scale("train translation", config, cut) == pytest.approx(
        config.corpora["europarl"].pairs / trial.PAIRS * 20
    )


@pytest.mark.parametrize(
    ("cases", "word"),
    [
        ([True, True], "yes"),
        ([False], "no"),
        ([True, False, True], "in part (2 of 3)"),
        ([True, None], "in part (1 of 2, 1 undecided)"),
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
        model["overlap"]["share"][0] = [1.0, 0.5, 0.5]


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
            labels[0]["of_label"] = 5


def _none_shared(evidence: toy.Evidence) -> None:
    for model in evidence["models"].values():
        model["shared"]["by_number_of_labels"] = [10, 30]


@pytest.mark.parametrize(
    ("change", "key"),
    [
        (_penalty_costs, "With λ1 = λ2 = 1e-5"),
        (_penalty_does_nothing, "With λ1 = λ2 = 1e-5"),
        (_no_neuron_follows, "A single neuron follows"),
        (_words_of_other_labels, "Neurons are found that answer"),
        (_none_shared, "Some neurons are shared"),
        (lambda e: _swap_orders(e, "cross-model"), "Ablating the cross-model top"),
        (lambda e: _swap_orders(e, "cross-model"), "Cross-model beats variance"),
        (lambda e: _swap_orders(e, "cross-model"), "In language models perplexity"),
        (_worse_probes, "Classifiers beat the majority"),
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

    assert len(told()) == 4
    for sweep in evidence["models"]["en-de"]["sweeps"].values():
        for row in sweep["rows"]:
            del row["loss"]
    assert told() == []


def test_curves_whose_intervals_overlap_decide_nothing() -> None:
    evidence = toy.evidence()
    for model in evidence["models"].values():
        for sweep in model["sweeps"].values():
            for row in sweep["rows"]:
                for metric in {"bleu", "perplexity"} & set(row):
                    row[f"{metric}_low"], row[f"{metric}_high"] = 0.0, 100.0
    found = verdicts(evidence)
    assert [word for claim, word in found.items() if "BLEU more" in claim] == ["undecided"] * 3


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


def test_differences_ignore_how_long_it_took() -> None:
    one, other = toy.evidence(), toy.evidence()
    other["account"]["probe"]["seconds"] = 99.0
    assert list(differences(one, other)) == []
    other["models"]["en-de"]["probes"]["pos"]["accuracy"] += 1e-9
    (found,) = differences(one, other)
    assert found.startswith("/models/en-de/probes/pos/accuracy")
    assert count_numbers(one) > 300


def test_the_page_says_what_was_found_and_shows_text_as_text(tmp_path: Path) -> None:
    evidence = toy.evidence()
    page = tmp_path / "paper.md"
    write_page(evidence, ["Toys are small."], tmp_path, page, "the command")
    text = page.read_text(encoding="utf-8")
    for finding in all_findings(evidence):
        assert f"| {finding.claim} | **{finding.verdict}** |" in text
        assert f"*Here:* {finding.claim}: **yes**" in text
    assert "Toys are small." in text
    assert "<script>" not in text
    assert "&lt;script>" in text
    assert "`sweep:toy|points:2|value:0`" in text
    for line in text.splitlines():  # a picture that is named is there
        if line.startswith("!["):
            assert (tmp_path / line.split("](")[1].rstrip(")")).is_file()
    assert "/somewhere/" not in text
    assert "paper-reading.md" not in text


READING = """# What was tried

<!-- evidence: {evidence} -->
## Cross-model against variance: by BLEU

<!-- why: methods -->
Short sentences,
it seems.

And more.
"""


@pytest.mark.parametrize("same_run", [True, False])
def test_reasons_written_by_hand_are_shown_with_their_run(same_run: bool, tmp_path: Path) -> None:
    evidence = toy.evidence()
    about = digest(evidence) if same_run else "0123456789ab"
    written(tmp_path / "paper-reading.md", READING.format(evidence=about))
    write_page(evidence, [], tmp_path, tmp_path / "paper.md", "the command")
    text = (tmp_path / "paper.md").read_text(encoding="utf-8")
    assert "(paper-reading.md)" in text
    heading = "cross-model-against-variance-by-bleu"
    why = f"*Why:* Short sentences, it seems. ([more](paper-reading.md#{heading}))"
    section = text.split("## Cross-model correlation against variance")[1].split("\n## ")[0]
    assert (why in section) is same_run
    assert ("run of other figures, 0123456789ab" in text) is not same_run


def test_accuracy_of_a_tagger() -> None:
    spacy = pytest.importorskip("spacy", reason="the taggers need spaCy")
    from reproduction.tagger import tag, train

    noun, verb = [("dogs", "N"), ("bark", "V")], [("cats", "N"), ("purr", "V")]
    nlp = train("en", [noun, verb] * 20, epochs=4, seed=1)
    assert isinstance(nlp, spacy.language.Language)
    assert list(tag(nlp, [["cats", "bark"], []])) == [["N", "V"], []]
    found = accuracy(nlp, [noun, [("dogs", "N"), ("meow", "V")]], [noun, verb])
    assert found["majority_baseline"] == 0.75
    assert found["unseen_words"] == 1
    again = train("en", [noun, verb] * 20, epochs=4, seed=1)
    assert json.dumps(accuracy(again, [noun], [noun])) == json.dumps(accuracy(nlp, [noun], [noun]))
