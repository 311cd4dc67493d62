"""Checkpoints of any age in the format that fairseq writes today."""

from __future__ import annotations

import copy
from argparse import Namespace

import numpy as np
import pytest
import torch
from emulated_checkpoints import (
    as_args,
    as_args_dict,
    as_cfg_and_model,
    as_wrapped,
    differences,
    flat_args,
    model_parallel_parts,
    save,
)
from fairseq import checkpoint_utils
from fairseq.utils import eval_bool
from saved_state import saved_state

from fairseq_neuron_plugin import register  # noqa: F401  (the plugin's architectures)
from fairseq_neuron_plugin.backends.fairseq.checkpoints.convert import (
    left_out,
    moving_average,
    todays_state,
)
from fairseq_neuron_plugin.backends.fairseq.checkpoints.shards import join_parts
from fairseq_neuron_plugin.errors import UserError
from fairseq_neuron_plugin.tasks.flags import AblationConfig

NAMES = ("lstm", "transformer", "transformer_lm", "lstm_lm", "multi_simple_epoch")


def path_of(zoo, name: str):
    return zoo.tiny.stock if name == "lstm" else zoo.checkpoint(name)


@pytest.fixture(scope="module")
def states(zoo) -> dict[str, dict]:
    """What stock fairseq saved."""
    return {name: saved_state(path_of(zoo, name)) for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_a_checkpoint_of_today_keeps_its_form_and_content(name: str, states) -> None:
    state = states[name]
    written = todays_state(state, "x.pt")
    expected = copy.copy(state)
    expected["extra_state"] = {
        key: state["extra_state"][key]
        for key in ("train_iterator", "val_loss", "best", "previous_training_time")
    }
    expected["last_optimizer_state"] = None
    assert differences(written, expected) == []
    assert differences(todays_state(written, "x.pt"), written) == []
    assert left_out(state, written) == ["metrics"]
    assert left_out(written, written) == []


@pytest.mark.parametrize("form", [as_args, as_args_dict, as_wrapped, as_cfg_and_model])
@pytest.mark.parametrize("name", NAMES[:4])  # the task of the last one changes its settings
def test_other_forms_become_what_fairseq_saves_today(name: str, form, states) -> None:
    before = form(states[name])
    snapshot = copy.deepcopy(before)
    written = todays_state(before, "x.pt")
    assert differences(before, snapshot) == []
    expected = todays_state(states[name], "x.pt")
    if form is as_cfg_and_model:
        expected["extra_state"] = {
            "train_iterator": {
                "version": 2,
                "epoch": 1,
                "iterations_in_epoch": 0,
                "shuffle": True,
            }
        }
        (one,) = expected["optimizer_history"]
        expected["optimizer_history"] = [{**one, "lr_scheduler_state": {}, "num_updates": 0}]
    assert differences(written, expected) == []


def test_settings_that_were_renamed_are_upgraded_as_fairseq_does(states) -> None:
    args = flat_args(states["lstm"]["cfg"])
    for name in ("max_source_positions", "max_target_positions", "task", "stop_min_lr"):
        delattr(args, name)
    args.__dict__ |= {
        **{"max_positions": 77, "raw_text": True, "remove_bpe": "@@ ", "min_lr": 1e-5},
        **{"lr": 0.25, "data": ["one", "two"], "log_keys": None},
    }
    extra = {"epoch": 0, "batch_offset": 3, "val_loss": np.float64(1.5)}
    old = {"args": args, "model": states["lstm"]["model"], "extra_state": extra}
    written = todays_state(old, "x.pt")
    cfg = written["cfg"]
    assert cfg["task"]["_name"] == "translation"
    assert cfg["task"]["max_source_positions"] == cfg["task"]["max_target_positions"] == 77
    assert (cfg["task"]["data"], cfg["dataset"]["dataset_impl"]) == ("one", "raw")
    assert cfg["common_eval"]["post_process"] == "@@ "
    assert (cfg["optimization"]["stop_min_lr"], cfg["optimization"]["lr"]) == (1e-5, [0.25])
    assert written["extra_state"]["train_iterator"] == {"epoch": 1, "iterations_in_epoch": 3}
    assert type(written["extra_state"]["val_loss"]) is float


@pytest.mark.parametrize("attention", [True, False])
def test_attention_that_was_no_text(attention: bool, states) -> None:
    old = as_args(states["lstm"])
    old["args"].decoder_attention = attention
    model = todays_state(old, "x.pt")["cfg"]["model"]
    assert eval_bool(model.decoder_attention) is attention


def test_a_break_mode_that_was_none(states) -> None:
    old = as_args(states["transformer_lm"])
    old["args"].sample_break_mode = None
    assert todays_state(old, "x.pt")["cfg"]["task"]["sample_break_mode"] == "none"


def test_flags_that_multilingual_models_had_not_yet(zoo) -> None:
    old = as_args(saved_state(zoo.checkpoint("multilingual")))
    for name in ("encoder_langtok", "decoder_langtok"):
        delattr(old["args"], name)
    task = todays_state(old, "x.pt")["cfg"]["task"]
    assert (task.encoder_langtok, task.decoder_langtok) == (None, False)


@pytest.mark.parametrize(("rows", "limit"), [(50, 48), (52, 50)])
def test_a_limit_that_was_the_size_of_the_table_of_positions(rows: int, limit: int, states) -> None:
    old = as_args(states["transformer"])
    old["args"].__dict__ |= {"encoder_learned_pos": True, "max_source_positions": 50}
    old["model"] = {**old["model"], "encoder.embed_positions.weight": torch.zeros(rows, 32)}
    cfg = todays_state(old, "x.pt")["cfg"]
    assert cfg["model"].max_source_positions == cfg["task"]["max_source_positions"] == limit
    assert cfg["model"].max_target_positions == 1024


def test_sections_and_settings_of_later_versions_are_added(states) -> None:
    state = copy.deepcopy(states["transformer_lm"])
    cfg = state["cfg"]
    del cfg["ema"], cfg["common"]["suppress_crashes"], cfg["task"]["add_bos_token"]
    del cfg["model"]["no_decoder_final_norm"], cfg["distributed_training"]["fp16"]
    cfg["common"]["fp16"] = True  # what the missing setting refers to
    cfg["model"]["_name"] = "transformer_lm_gpt"  # fairseq merges no defaults into a named one
    cfg["generation"]["print_alignment"] = True
    expected = copy.deepcopy(states["transformer_lm"]["cfg"])
    expected["common"]["fp16"] = expected["distributed_training"]["fp16"] = True
    expected["model"]["_name"] = "transformer_lm_gpt"
    expected["generation"]["print_alignment"] = "hard"
    written = todays_state(state, "x.pt")["cfg"]
    assert written == expected
    assert list(written) == list(expected)


def test_each_section_has_the_form_of_its_class(states) -> None:
    cfg = copy.deepcopy(states["lstm"]["cfg"])
    whole = vars(cfg["model"])
    cfg["model"] = dict(whole)  # as from JSON
    cfg["task"] = Namespace(**{**whole, "_name": "translation"})  # as in October 2020
    cfg["optimizer"] = Namespace(**{**whole, "_name": "adam"})
    written = todays_state({"cfg": cfg, "model": states["lstm"]["model"]}, "x.pt")
    assert differences(written["cfg"], states["lstm"]["cfg"]) == []


def test_an_embedding_that_both_sides_share_has_both_names(zoo) -> None:
    state = saved_state(zoo.checkpoint("lstm_shared"))
    weights = dict(state["model"])
    shared = weights.pop("decoder.embed_tokens.weight")
    found = todays_state({**state, "model": weights}, "x.pt")["model"]
    assert found["decoder.embed_tokens.weight"].data_ptr() == shared.data_ptr()


def test_names_that_only_training_needs_may_be_unknown(states) -> None:
    old = as_args(states["transformer"])
    old["args"].__dict__ |= {"optimizer": "my_optimizer", "criterion": "my_criterion"}
    written = todays_state(old, "x.pt")
    assert written["cfg"]["optimizer"] is None
    assert written["cfg"]["criterion"] is None
    assert written["cfg"]["model"].criterion == "my_criterion"  # an LSTM is not built without
    section = copy.deepcopy(states["transformer"])
    section["cfg"]["criterion"] = {"_name": "my_criterion", "mine": 3}
    kept = todays_state(section, "x.pt")["cfg"]["criterion"]
    assert kept == {"_name": "my_criterion", "mine": 3}


@pytest.mark.parametrize("form", [as_args, as_cfg_and_model])
@pytest.mark.parametrize(("kind", "what"), [("arch", "architecture"), ("task", "task")])
def test_an_unknown_architecture_or_task_is_named(form, kind: str, what: str, states) -> None:
    state = form(copy.deepcopy(states["transformer"]))
    if form is as_args:
        setattr(state["args"], kind, "of_my_own")
    elif kind == "arch":
        state["cfg"]["model"]._name = "of_my_own"
    else:
        state["cfg"]["task"]["_name"] = "of_my_own"
    with pytest.raises(UserError, match=f"x.pt is of {what} of_my_own, .* give --user-dir"):
        todays_state(state, "x.pt")


@pytest.mark.parametrize("kind", ["model", "task"])
def test_settings_that_are_missing_are_named(kind: str, states) -> None:
    state = copy.deepcopy(states["transformer"])
    state["cfg"][kind] = None
    with pytest.raises(UserError, match=f"x.pt has no settings of its {kind}"):
        todays_state(state, "x.pt")
    with pytest.raises(UserError, match="does not say of which architecture it is"):
        todays_state({"args": {}, "model": state["model"]}, "x.pt")


@pytest.mark.parametrize(
    ("name", "value"),
    [("max_epoch", "many"), ("update_freq", ["a"]), ("adam_eps", "1 +"), ("lr", "['x']")],
)
def test_a_setting_that_does_not_fit_is_one_line(name: str, value, states, capfd) -> None:
    old = as_args(states["lstm"])
    setattr(old["args"], name, value)
    with pytest.raises(UserError, match=r"configuration of x.pt does not fit this fairseq: \S"):
        todays_state(old, "x.pt")
    assert capfd.readouterr().err == ""


def test_training_state_that_is_not_plain_data_is_left_out(states) -> None:
    state = copy.deepcopy(states["lstm"])
    state["extra_state"] |= {"best": object(), "mine": 3, "ema": {"x": 3}}
    state["task_state"] = {"dictionary": object()}
    state["optimizer_history"] = [None, {"num_updates": np.int64(5), "lr_scheduler_state": 3j}]
    written = todays_state(state, "x.pt")
    assert left_out(state, written) == ["moving average", "best", "metrics", "mine", "task_state"]
    assert left_out(state, written, average=False)[0] == "best"
    assert written["task_state"] == {}
    assert written["optimizer_history"] == [
        {
            "criterion_name": "CrossEntropyCriterion",
            "optimizer_name": "FairseqAdam",
            "lr_scheduler_state": {},
            "num_updates": 5,
        }
    ]


def test_a_neuron_architecture_becomes_the_stock_one(zoo) -> None:
    state = saved_state(zoo.tiny.neuron)
    flags = {name: None for name in AblationConfig.__dataclass_fields__ if name != "_name"}
    state["cfg"]["task"] |= {"_name": "neuron_translation", **flags}
    cfg = todays_state(state, "x.pt")["cfg"]
    assert (cfg["model"].arch, cfg["model"]._name) == ("lstm", "lstm")
    assert cfg["task"]["_name"] == "translation"
    assert not flags.keys() & cfg["task"].keys()


@pytest.mark.parametrize("half", [False, True])
def test_the_moving_average_is_that_of_fairseq(half: bool, states, tmp_path) -> None:
    state = copy.deepcopy(states["lstm"])
    average = {name: weight * 0.5 for name, weight in state["model"].items()}
    if half:
        average = {name: weight.half() for name, weight in average.items()}
    state["extra_state"]["ema"] = average
    path = save(state, tmp_path / "ema.pt")
    expected = checkpoint_utils.load_ema_from_checkpoint(str(path))["model"]
    found = moving_average(state, path)
    assert differences(found, dict(expected)) == []
    assert {weight.dtype for weight in found.values()} == {torch.float32}
    fp32 = {**state, "extra_state": {"ema_fp32_params": average}}
    assert differences(moving_average(fp32, path), found) == []


def test_a_moving_average_of_something_else_is_refused(states) -> None:
    state = copy.deepcopy(states["lstm"])
    with pytest.raises(UserError, match="no moving average"):
        moving_average(state, "x.pt")
    for damaged in ({}, 3, {"other.weight": 3}, {3: torch.zeros(1)}):
        state["extra_state"]["ema"] = damaged
        with pytest.raises(UserError, match="no moving average"):
            moving_average(state, "x.pt")
    state["extra_state"]["ema"] = {"other.weight": torch.zeros(1)}
    with pytest.raises(UserError, match="does not fit its weights: decoder"):
        moving_average(state, "x.pt")


def test_parts_of_model_parallelism_become_the_stock_architecture(states) -> None:
    state = copy.deepcopy(states["transformer_lm"])
    model = state["cfg"]["model"]
    model |= {"share_decoder_input_output_embed": True, "decoder_normalize_before": True}
    parts = model_parallel_parts(state, 2, "transformer_lm_megatron")
    joined = join_parts(parts, ["model_part0.pt", "model_part1.pt"])
    assert differences(joined["model"], dict(state["model"])) == []
    written = todays_state(joined, "x.pt")
    assert written["cfg"]["common"]["model_parallel_size"] == 1
    assert written["cfg"]["criterion"]["_name"] == "cross_entropy"
    changed = {"_name": "transformer_lm"}
    assert written["cfg"]["model"] == {**state["cfg"]["model"], **changed}
