"""Every flag of fairseq is decided, and what is decided is done."""

from __future__ import annotations

import numpy as np
import pytest
from commands import refusal
from fairseq.tasks import TASK_REGISTRY
from live_flags import actions, change

from fairseq_neuron_plugin.backends.fairseq.flags import (
    COMMANDS,
    OTHER_TASKS,
    PAIR_TASKS,
    TABLE,
    TEXT_TASKS,
    Command,
    decide,
)
from fairseq_neuron_plugin.backends.fairseq.given_flags import given_settings, refuse_ignored
from fairseq_neuron_plugin.cli import eval_lm, explore, extract, generate, rank
from fairseq_neuron_plugin.corpora import read_split
from fairseq_neuron_plugin.errors import UserError
from fairseq_neuron_plugin.evaluation.decoding import Translator
from fairseq_neuron_plugin.evaluation.evaluator import Intervention
from fairseq_neuron_plugin.evaluation.language_model import LanguageModelEvaluator
from fairseq_neuron_plugin.extraction import ExtractionSettings
from fairseq_neuron_plugin.loading import open_session
from fairseq_neuron_plugin.neurons import Layer, NeuronSpace
from fairseq_neuron_plugin.ranking import Ranking
from fairseq_neuron_plugin.streaming import StreamedRows

# In fairseq-fixed 0.12.3 and not in fairseq 0.12.2.
NEWER = {"beam_mt", "max_len_a_mt", "max_len_b_mt", "lenpen_mt"}
NEWER_TASKS = {"audio_classification", "nlu_finetuning", "span_masked_lm", "speech_dlm_task"}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_flag_is_decided(command: Command) -> None:
    live = set(actions(command))
    decided = {setting for setting, row in TABLE.items() if command in row}
    assert sorted(live - decided) == [], f"decide about these in TABLE, for {command}"
    assert decided - live <= NEWER, f"no parser of {command} has {sorted(decided - live - NEWER)}"
    assert decided - live in (set(), NEWER)


def test_every_task_is_decided() -> None:
    decided = (*PAIR_TASKS, *TEXT_TASKS, *OTHER_TASKS)
    assert len(set(decided)) == len(decided)
    # Other tests register tasks of their own.
    live = {name for name, task in TASK_REGISTRY.items() if task.__module__.startswith("fairseq.")}
    assert sorted(live - set(decided)) == [], "decide whether commands read these, and their flags"
    assert set(decided) - live in (set(), NEWER_TASKS)


@pytest.mark.parametrize("command", COMMANDS)
def test_flags_without_effect_are_refused_and_others_are_not(command: Command) -> None:
    kinds = {"honoured": 0, "refused": 0, "harmless": 0}
    for setting, (parser, action) in actions(command).items():
        if not action.option_strings:
            continue
        flags = change(action)
        given = given_settings(parser, flags, parser.parse_known_args([*flags, "data"])[0])
        assert list(given) == [setting]
        decision = decide(setting, command)
        assert decision is not None
        kinds[decision.kind] += 1
        if decision.kind == "refused":
            with pytest.raises(UserError, match=f"^{given[setting]} does nothing here: [a-z]"):
                refuse_ignored(given, command)
        else:
            refuse_ignored(given, command)
    assert min(kinds.values()) > 10, kinds


def test_a_flag_with_its_default_is_not_refused() -> None:
    parser, _ = actions("read")["nbest"]
    flags = ["--nbest", "1", "--num-shards=1", "--scoring", "bleu", "--bucket-cap-mb", "25"]
    assert given_settings(parser, flags, parser.parse_args([*flags, "data"])) == {}


def test_flags_are_named_as_they_were_written() -> None:
    parser, _ = actions("read")["batch_size"]
    flags = ["--max-sentences=3", "--remove-bpe", "-s", "en", "--nbest", "2"]
    given = given_settings(parser, flags, parser.parse_args([*flags, "data"]))
    assert given == {
        "batch_size": "--max-sentences",
        "post_process": "--remove-bpe",
        "source_lang": "-s",
        "nbest": "--nbest",
    }


def test_settings_of_the_search_depend_on_the_task() -> None:
    for task, refused, honoured in (
        ("translation", "iter_decode_max_iter", "sampling"),
        ("neuron_translation_lev", "beam", "iter_decode_max_iter"),
        ("translation_from_pretrained_bart", "sampling", "beam"),
    ):
        with pytest.raises(UserError, match=r"does nothing here: .*translation_"):
            refuse_ignored({refused: "--flag"}, "generate", task)
        refuse_ignored({honoured: "--flag"}, "generate", task)


def test_flags_of_other_tasks_are_theirs() -> None:
    assert decide("no_setting_of_fairseq", "read") is None
    refuse_ignored({"no_setting_of_fairseq": "--flag"}, "read", "a_task_of_ones_own")


READ = [
    ("--nbest 2", "--nbest does nothing here: nothing is translated"),
    ("--max-tokens-valid=5", "--max-tokens-valid does nothing here: it is for training"),
    ("--bf16", "--bf16 does nothing here: models run in float32, or in float16 with --fp16"),
    ("--skip-invalid-size-inputs-valid-test", "here: every sentence is read, or it is an error"),
    ("--scoring chrf", "--scoring does nothing here: nothing is scored"),
    ("--task neuron_translation --add-bos-token", "unrecognized arguments: --add-bos-token"),
]


@pytest.mark.parametrize(("flags", "message"), READ)
def test_reading_refuses(tiny, tmp_path, capsys, flags: str, message: str) -> None:
    command = (tiny.data, "--path", tiny.stock, "--gen-subset", "valid", "--cpu", *flags.split())
    assert message in refusal(extract.main, capsys, *command, "--output-dir", tmp_path / "acts")
    assert not (tmp_path / "acts").exists()


def test_rankings_that_read_refuse(tiny, tmp_path, capsys) -> None:
    output = ("--output", tmp_path / "r.json", "--gen-subset", "valid", "--beam", "3")
    checkpoints = ("--checkpoints", tiny.stock, tiny.neuron, "--data", tiny.data)
    for command in (
        ("gradient-activation", tiny.data, "--path", tiny.stock),
        ("cross-model", *checkpoints),
    ):
        line = refusal(rank.main, capsys, *command, *output)
        assert line.endswith("--beam does nothing here: nothing is translated")


@pytest.mark.parametrize("flag", ["--sample-break-mode=eos", "--add-bos-token"])
def test_reading_with_a_language_model_refuses(zoo, tmp_path, capsys, flag: str) -> None:
    command = (zoo.data("text"), "--path", zoo.checkpoint("transformer_lm"), "--list-layers", flag)
    line = refusal(extract.main, capsys, *command)
    assert f"{flag.partition('=')[0]} does nothing here: " in line


def test_subwords_of_a_split_are_not_segmented(tiny, tmp_path, capsys) -> None:
    (tmp_path / "codes").write_text("#version: 0.2\nt h\n")
    line = refusal(
        *(extract.main, capsys, tiny.data, "--path", tiny.stock, "--cpu", "--gen-subset", "valid"),
        *("--bpe", "subword_nmt", "--bpe-codes", tmp_path / "codes"),
        *("--output-dir", tmp_path / "acts"),
    )
    assert "--bpe segments --input" in line


GENERATE = [
    ("--no-repeat-ngram-size 2", "here: fairseq's own code for it has no effect"),
    ("--diverse-beam-groups 5", "here: fairseq's own code for it confuses the sentences"),
    ("--lm-path lm.pt", "--lm-path does nothing here: a search with a language model beside it"),
    ("--constraints", "--constraints does nothing here: constrained search is not supported"),
    ("--num-batch-buckets 2", "--num-batch-buckets does nothing here: it is for TPUs"),
    ("--eos 5", "--eos does nothing here: choose by --metrics"),
]


@pytest.mark.parametrize(("flags", "message"), GENERATE)
def test_translating_refuses(tiny, tmp_path, capsys, flags: str, message: str) -> None:
    command = (tiny.data, "--path", tiny.stock, "--set", "encoder.layers.0:1=0", "--cpu")
    assert message in refusal(generate.main, capsys, *command, *flags.split())


def test_the_explorer_refuses(tiny, capsys) -> None:
    pytest.importorskip("gradio")
    for flag in ("--gen-subset=valid", "--print-alignment", "--results-path=there"):
        line = refusal(explore.main, capsys, "--path", tiny.stock, tiny.data, flag)
        assert f"{flag.partition('=')[0]} does nothing here: " in line


EVAL_LM = [
    ("--tokenizer moses", "--tokenizer does nothing here: a binarised split is tokenised"),
    ("--past-target", "--past-target does nothing here: language models predict the next word"),
    ("--pad-to-fixed-bsz", "--pad-to-fixed-bsz does nothing here: it is for TPUs"),
    ("--optimizer adam", "--optimizer does nothing here: it is for training"),
]


@pytest.mark.parametrize(("flags", "message"), EVAL_LM)
def test_scoring_text_refuses(zoo, tmp_path, capsys, flags: str, message: str) -> None:
    space = NeuronSpace((Layer("decoder.layers.0", 32),))
    Ranking("random", np.arange(32), np.zeros(32), space=space).save(tmp_path / "r.json")
    command = (zoo.data("text"), "--path", zoo.checkpoint("transformer_lm"), "--ablate", "1")
    output = ("--ranking", tmp_path / "r.json", "--output-dir", tmp_path / "sweep")
    assert message in refusal(eval_lm.main, capsys, *command, *output, *flags.split())


NOTHING = Intervention({}, 0.0, "recurrent")


@pytest.fixture(scope="module")
def translate(tiny):
    """Translations of a few sentences with the flags of a command line."""

    def run(*flags: str) -> list[str]:
        command = [str(tiny.data), "--path", str(tiny.stock), "--cpu", *flags]
        session = open_session(command, command="generate")
        lines = (tiny.corpus / "valid.en").read_text().splitlines()[:12]
        return [one.text for one in Translator(session, lines).translate(NOTHING)]

    run.plain = run()
    return run


@pytest.mark.parametrize(
    "flags",
    [
        ("--max-len-b", "3"),
        ("--min-len", "15"),
        ("--temperature", "0.2"),
        ("--diversity-rate", "2"),
        ("--sampling", "--sampling-topk", "5"),
    ],
)
def test_settings_of_the_search_change_translations(translate, flags) -> None:
    assert translate(*flags) != translate.plain


def test_samples_depend_on_the_seed(translate) -> None:
    one, same, other = (translate("--sampling", "--seed", seed) for seed in ("3", "3", "4"))
    assert one == same
    assert one != other


def rows(tiny, *flags: str) -> tuple[np.ndarray, int]:
    """Activations over a split, and the words of its longest sentence."""
    command = [str(tiny.data), "--path", str(tiny.stock), "--cpu", *flags]
    session = open_session(command, command="read")
    read = StreamedRows(session, read_split(session, "valid"), ExtractionSettings())
    return np.array(read[0 : len(read)]), max(map(len, read.words))


def test_what_is_read_depends_on_flags(tiny) -> None:
    plain, longest = rows(tiny)
    half, _ = rows(tiny, "--memory-efficient-fp16")
    assert 0 < np.abs(half - plain).max() < 0.1
    assert longest > 4
    cut, longest = rows(tiny, "--truncate-source", "--max-source-positions", "5")
    assert longest == 4
    assert len(cut) < len(plain)
    np.testing.assert_allclose(rows(tiny, "--left-pad-source")[0], plain, atol=1e-6)


def test_how_text_is_scored_depends_on_flags(zoo) -> None:
    def score(*flags: str) -> tuple[float, int]:
        path = str(zoo.checkpoint("transformer_lm"))
        command = [str(zoo.data("text")), "--path", path, "--cpu", "--tokens-per-sample", "64"]
        given = [*command, *flags]
        session = open_session(given, "language_modeling", True, command="eval-lm")
        numbers = LanguageModelEvaluator(session, "valid", 0).evaluate(NOTHING, lambda _: None)
        return numbers.numbers["loss"], numbers.numbers["tokens"]

    plain, tokens = score()
    assert score("--softmax-batch", "5") == (pytest.approx(plain), tokens)
    for flags in (
        ("--context-window", "20"),
        ("--sample-break-mode", "eos"),
        ("--add-bos-token",),
    ):
        loss, scored = score(*flags)
        assert scored == tokens
        assert abs(loss - plain) > 1e-3
    cut = ("--sample-break-mode", "eos", "--tokens-per-sample", "5", "--shorten-method")
    crops = {score(*cut, "random_crop", "--seed", seed) for seed in ("1", "4")}
    assert len(crops) == 2
    assert score(*cut, "truncate")[1] < tokens


def test_unknown_flags_are_refused_by_fairseq_itself(tiny) -> None:
    with pytest.raises(UserError, match="unrecognized arguments: --beem"):
        open_session([str(tiny.data), "--path", str(tiny.stock), "--beem", "3"], command="read")
