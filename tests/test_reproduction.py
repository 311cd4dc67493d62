"""scripts/reproduce_paper.py: configuration, data and steps; not the long run."""

from __future__ import annotations

import json
import os
import sys
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import pytest
from omegaconf import OmegaConf
from reproduce_paper import main, plan
from reproduction import trial
from reproduction.config import CONFIGS, ConfigError, Corpus, load_config, settings_of
from reproduction.corpora import read_tagged, training_parts
from reproduction.folder import evidence_of, hold_settings, input_files, lock, take_models
from reproduction.layout import Layout
from reproduction.preparation import month_sentences, write_corpus, write_probe_texts
from reproduction.runner import Journal, Runner, Step, StepError
from reproduction.tagger import accuracy
from reproduction_data import CONLLU, small, written


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
        (("points: 0,1%", "points: 0,abc"), "sweeps.points"),
        (("points: 0,1%", "points: 0,200%"), "sweeps.points"),
        (("pairs: 40000", "pairs: -1"), "corpora.tatoeba.pairs must be 1"),
        (("epochs: 6", "epochs: 0"), "tagger.epochs"),
        (("train_sentences: 3000", "train_sentences: 0"), "classifier.train_sentences"),
        (("train.tok.{lang}", "train.tok.{lang}.{foo}"), "corpora.tatoeba.train"),
        (("train.tok.{lang}", "train.tok.{lang}.{"), "corpora.tatoeba.train"),
        (("flags: --min-count 5", "flags: --min-count '5"), "classifier.flags: No closing"),
        (("bleu,chrf,loss", "chrf,loss"), "must name bleu"),
        (("break-mode eos", "break-mode eos --bootstrap=0"), "bootstrap"),
        (("      sem:", "      Pos:"), "task pos"),
        (("      sem:", "      Variance:"), "task Variance"),
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


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (["--config", "small", "--jobs", "0"], "--jobs 0"),
        (["--config", "small", "--plan", "--models", "x"], "--plan does not look into --models"),
        (["--config", "smal"], "no configuration smal"),
        (["--config", "small", "--page", "paper.html"], "must end in .md"),
        (["--config", "small"], "no such file"),
    ],
)
def test_a_mistake_is_one_line_and_exit_status_2(
    flags: list[str],
    named: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folders = ["--data", str(tmp_path / "data"), "--output", str(tmp_path / "run")]
    assert run_script(monkeypatch, *flags, *folders) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("reproduce_paper.py: error: ")
    assert named in line


def run_script(monkeypatch: pytest.MonkeyPatch, *flags: object) -> object:
    """Its exit status."""
    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.setattr(sys, "argv", ["reproduce_paper.py", *map(str, flags)])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code


def test_a_plan_touches_nothing_and_knows_another_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    layout = small(tmp_path)
    config = tmp_path / "mine.yaml"
    OmegaConf.save(OmegaConf.structured(layout.config), config)
    flags = ("--config", config, "--data", layout.data, "--output", layout.folder, "--plan")
    assert run_script(monkeypatch, *flags) == 0
    steps = plan(layout)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"{len(steps)} of {len(steps)} steps to do: about ")
    assert [line.split()[-1] for line in lines[1:]] == [step.name for step in steps]
    assert not layout.folder.exists()
    written(layout.folder / "journal.jsonl", "")
    written(layout.folder / "settings.txt", "seed: 7\n")
    assert run_script(monkeypatch, *flags) == 2
    assert "then seed: 7" in capsys.readouterr().err
    assert sorted(path.name for path in layout.folder.iterdir()) == [
        "journal.jsonl",
        "settings.txt",
    ]


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


def test_a_file_is_no_folder_to_write(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--output .*file"):
        lock(written(tmp_path / "file", ""))


def test_models_of_no_run_are_named(tmp_path: Path) -> None:
    layout = small(tmp_path)
    with pytest.raises(ConfigError, match=r"--models .*nowhere: no run there"):
        take_models(tmp_path / "nowhere", layout, Runner(layout.folder, 1).journal, [])


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
    layout.folder.mkdir()
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
