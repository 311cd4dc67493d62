"""Checkpoints as other versions, recipes and tools of fairseq write them, made from one of today.

Each function of `KINDS` reads a checkpoint that a test has trained, and writes the same model as
another kind of file.
"""

from __future__ import annotations

import argparse
import collections
import datetime
import functools
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from saved_state import saved_state
from stub_classes import OldOmegaConf, Stubs, meters
from torch import Tensor

State = dict[str, Any]
Weights = dict[str, Tensor]

KINDS: dict[str, Callable[[Path, Path], None]] = {}

_ENUMS = "fairseq.dataclass.constants"

# The settings that an LSTM or a Transformer of fairseq 0.9 and earlier saves, among others.
_OLD_SETTINGS = (
    *("arch", "criterion", "optimizer", "lr_scheduler", "lr", "clip_norm", "update_freq", "seed"),
    *("sentence_avg", "fp16", "max_epoch", "max_update", "save_dir", "restore_file", "no_save"),
    *("train_subset", "valid_subset", "log_format", "log_interval", "no_progress_bar"),
    *("source_lang", "target_lang", "left_pad_source", "left_pad_target", "data", "dropout"),
    *("max_source_positions", "max_target_positions", "attention_dropout", "relu_dropout"),
    *("share_all_embeddings", "share_decoder_input_output_embed", "adaptive_softmax_cutoff"),
    *("encoder_embed_dim", "encoder_hidden_size", "encoder_layers", "encoder_bidirectional"),
    *("encoder_ffn_embed_dim", "encoder_attention_heads", "encoder_normalize_before"),
    *("encoder_embed_path", "encoder_dropout_in", "encoder_dropout_out", "encoder_learned_pos"),
    *("decoder_embed_dim", "decoder_hidden_size", "decoder_layers", "decoder_out_embed_dim"),
    *("decoder_ffn_embed_dim", "decoder_attention_heads", "decoder_normalize_before"),
    *("decoder_embed_path", "decoder_dropout_in", "decoder_dropout_out", "decoder_learned_pos"),
    *("decoder_attention", "activation_fn", "weight_decay"),
)


def _kind(name: str) -> Callable[[Callable[[State], Any]], Callable[[State], Any]]:
    """Register a function that changes a state in place.

    It may return keyword arguments of `torch.save`, or the `Stubs` that saving needs.
    """

    def register(change: Callable[[State], Any]) -> Callable[[State], Any]:
        def make(source: Path, target: Path) -> None:
            state = saved_state(source)
            saving = change(state)
            if isinstance(saving, Stubs):
                with saving.importable():
                    torch.save(state, target)
            else:
                torch.save(state, target, **(saving or {}))

        KINDS[name] = make
        return change

    return register


# --- fairseq 0.3 to 0.9 ---


@_kind("fairseq-0.3")
def _oldest(state: State) -> dict[str, Any]:
    """Training state beside the model, not in extra_state; the loss is a number of numpy."""
    args = _old_args(state)
    del args.task
    args.max_positions = 1024
    del args.max_source_positions, args.max_target_positions
    _replace(
        state,
        args=args,
        model=old_weights(state["model"], numbered_norms=True),
        optimizer={"state": {}, "param_groups": [{"lr": 0.25}]},
        best_loss=np.float64(3.21),
        epoch=8,
        batch_offset=0,
        val_loss=np.float64(3.21),
    )
    return {"_use_new_zipfile_serialization": False}


@_kind("fairseq-0.4")
def _version_0_4(state: State) -> Stubs:
    stubs = Stubs()
    args = _old_args(state)
    del args.task
    if args.arch == "lstm":
        args.decoder_attention = True  # "1" since 0.5
    _replace(
        state,
        args=args,
        model=old_weights(state["model"], numbered_norms=True),
        optimizer_history=[_history()],
        last_optimizer_state=state["last_optimizer_state"],
        extra_state={
            "epoch": 8,
            "batch_offset": 0,
            "val_loss": 3.21,
            "train_meters": meters(stubs),
        },
    )
    return stubs


@_kind("fairseq-0.6.2")
def _version_0_6_2(state: State) -> Stubs:
    stubs = Stubs()
    args = _old_args(state)
    args.data = [args.data]
    vars(args).update(lazy_load=False, raw_text=False, min_lr=1e-5, max_sentences=16)
    _replace(
        state,
        args=args,
        model=old_weights(state["model"], version=2.0),
        optimizer_history=[_history()],
        last_optimizer_state=state["last_optimizer_state"],
        extra_state={
            "train_iterator": {"epoch": 8, "iterations_in_epoch": 6},
            "val_loss": 3.21,
            "best": 3.21,
            "train_meters": meters(stubs),
        },
    )
    return stubs


@_kind("fairseq-0.9")
def _version_0_9(state: State) -> Stubs:
    stubs = Stubs()
    args = _old_args(state)
    vars(args).update(dataset_impl=None, min_lr=-1, max_sentences=16, bpe=None, tokenizer=None)
    _replace(
        state,
        args=args,
        model=old_weights(state["model"], fused=False),
        optimizer_history=[_history()],
        extra_state={
            "train_iterator": {"epoch": 8, "iterations_in_epoch": 6, "shuffle": True},
            "val_loss": np.float32(3.21),
            "best": np.float64(3.21),
            "train_meters": meters(stubs),
        },
        last_optimizer_state=state["last_optimizer_state"],
    )
    return stubs


def _old_args(state: State) -> argparse.Namespace:
    settings = vars(state["cfg"]["model"])
    kept = {name: settings[name] for name in _OLD_SETTINGS if name in settings}
    return argparse.Namespace(**kept, task="translation")


def _history() -> dict[str, Any]:
    return {
        "criterion_name": "CrossEntropyCriterion",
        "optimizer_name": "FairseqAdam",
        "lr_scheduler_state": {"best": 3.21, "last_epoch": 8},
        "num_updates": 100,
    }


def _replace(state: State, **parts: Any) -> None:
    state.clear()
    state.update(parts)


def old_weights(
    weights: Weights,
    *,
    fused: bool = True,
    numbered_norms: bool = False,
    version: float | None = None,
) -> Weights:
    """Name the weights of a Transformer as fairseq 0.5 to 0.9 did; others stay as they are.

    Args:
        weights: of today.
        fused: one matrix for queries, keys and values, as before 0.9.
        numbered_norms: as in 0.5, which had no versions either.
        version: the number in the buffers of that name; None leaves it.
    """
    old = collections.OrderedDict(weights)
    if not any("self_attn" in name for name in old):
        return old
    if "decoder.output_projection.weight" in old:
        old["decoder.embed_out"] = old.pop("decoder.output_projection.weight")
    for stack in ("encoder", "decoder"):
        old[f"{stack}.embed_positions._float_tensor"] = torch.full((1,), 1e30)
        if version is not None:
            old[f"{stack}.version"] = torch.tensor([version])
        if numbered_norms:
            del old[f"{stack}.version"]
    for attention in [name[: -len(".q_proj.weight")] for name in old if "q_proj.weight" in name]:
        if fused:
            for kind in ("weight", "bias"):
                parts = [old.pop(f"{attention}.{name}_proj.{kind}") for name in "qkv"]
                old[f"{attention}.in_proj_{kind}"] = torch.cat(parts)
    numbers = {
        "encoder": ("self_attn", "final"),
        "decoder": ("self_attn", "encoder_attn", "final"),
    }
    for name in list(old) if numbered_norms else []:
        parts = name.split(".")
        if len(parts) == 5 and parts[3].endswith("_layer_norm"):
            number = numbers[parts[0]].index(parts[3].removesuffix("_layer_norm"))
            old[".".join([*parts[:3], f"layer_norms.{number}", parts[4]])] = old.pop(name)
    return old


# --- fairseq 0.10 to 0.12 ---


@_kind("omegaconf-2.0")
def _omegaconf(state: State) -> Stubs:
    """A configuration as main saved it from October 2020 to March 2021, with interpolations."""
    stubs = Stubs()
    cfg = _with_references(state["cfg"])
    cfg["distributed_training"]["ddp_backend"] = stubs.choice(
        f"{_ENUMS}.DDP_BACKEND_CHOICES", "c10d"
    )
    cfg["common"]["log_format"] = stubs.choice(f"{_ENUMS}.LOG_FORMAT_CHOICES", "simple")
    state["cfg"] = OldOmegaConf(stubs).container(cfg)
    return stubs


@_kind("omegaconf")
def _omegaconf_of_today(state: State) -> None:
    from omegaconf import OmegaConf

    state["cfg"] = OmegaConf.create(_with_references(state["cfg"]), flags={"allow_objects": True})
    OmegaConf.set_struct(state["cfg"], True)


@_kind("enums")
def _enums(state: State) -> Stubs:
    stubs = Stubs()
    cfg = state["cfg"]
    cfg["distributed_training"]["ddp_backend"] = stubs.choice(
        f"{_ENUMS}.DDP_BACKEND_CHOICES", "c10d"
    )
    cfg["generation"]["print_alignment"] = stubs.choice(f"{_ENUMS}.PRINT_ALIGNMENT_CHOICES", "hard")
    state["extra_state"]["sharding"] = stubs.choice(f"{_ENUMS}.ZERO_SHARDING_CHOICES", "none")
    return stubs


def _with_references(cfg: State) -> State:
    """Make settings of sections refer to those of others, as fairseq's defaults do."""
    referring = {name: dict(part) if isinstance(part, dict) else part for name, part in cfg.items()}
    referring["criterion"]["sentence_avg"] = "${optimization.sentence_avg}"
    referring["dataset"]["batch_size_valid"] = "${dataset.batch_size}"
    referring["optimizer"]["lr"] = "${optimization.lr}"
    referring["checkpoint"]["model_parallel_size"] = "${common.model_parallel_size}"
    if isinstance(referring["model"], dict) and "tokens_per_sample" in referring["model"]:
        referring["model"]["tokens_per_sample"] = "${task.tokens_per_sample}"
    return referring


@_kind("eval-bleu")
def _eval_bleu(state: State) -> None:
    """The IWSLT'14 recipe's metrics: counts of n-grams are arrays, their sums numbers of numpy."""
    counts = {
        "val": np.array([120, 80, 40, 20], dtype=np.int64),
        "sum": np.array([120, 80, 40, 20], dtype=np.int64),
        "count": 1,
        "round": 3,
    }
    valid = state["extra_state"]["metrics"].setdefault("valid", [])
    valid.append((100, "_bleu_counts", "AverageMeter", counts))
    valid.append((100, "_bleu_sys_len", "AverageMeter", {**counts, "val": np.int64(7)}))
    state["extra_state"].update(val_loss=np.float64(23.4), best=np.float64(23.4))


@_kind("ema")
def _moving_average(state: State) -> None:
    state["extra_state"]["ema"] = {
        name: weight * 0.5 if weight.is_floating_point() else weight
        for name, weight in state["model"].items()
    }


@_kind("upstream-0.12.2")
def _fast_path(state: State) -> None:
    """Eight copies in every encoder layer of a Transformer, which training leaves at zero."""
    add_copies(state["model"], torch.zeros_like)


@_kind("upstream-0.12.2-resumed")
def _stale_fast_path(state: State) -> None:
    """The copies of a training that was resumed: of the weights that it was resumed from."""
    add_copies(state["model"], lambda copy: copy + 0.125)


def add_copies(weights: Weights, value: Callable[[Tensor], Tensor]) -> None:
    for name in [name for name in weights if name.endswith(".fc1.weight") and "encoder" in name]:
        layer = name[: -len(".fc1.weight")]
        for kind in ("weight", "bias"):
            parts = [weights[f"{layer}.self_attn.{part}_proj.{kind}"] for part in "qkv"]
            weights[f"{layer}.in_proj_{kind}"] = value(torch.cat(parts))
            weights[f"{layer}.out_proj_{kind}"] = value(
                weights[f"{layer}.self_attn.out_proj.{kind}"]
            )
            for part in ("fc1", "fc2"):
                weights[f"{layer}.{part}_{kind}"] = value(weights[f"{layer}.{part}.{kind}"])
        for stack in ("encoder", "decoder"):
            weights[f"{stack}.embed_positions._float_tensor"] = torch.full((1,), float("nan"))


# --- objects in the training state ---


@_kind("dictionary")
def _dictionary(state: State) -> None:
    from fairseq.data import Dictionary

    words = Dictionary()
    words.add_symbol("word")
    state["task_state"] = {"source_dictionary": words}


@_kind("simple-namespace")
def _simple_namespace(state: State) -> None:
    model = state["cfg"]["model"]
    state["cfg"]["model"] = types.SimpleNamespace(**vars(model))
    state["extra_state"]["settings"] = types.SimpleNamespace(epochs=3)


@_kind("timedelta")
def _timedelta(state: State) -> None:
    state["extra_state"]["previous_training_time"] = datetime.timedelta(seconds=12.5)


@_kind("partial")
def _partial(state: State) -> None:
    state["last_optimizer_state"]["schedule"] = functools.partial(max, 1e-5)
    state["extra_state"]["schedule"] = functools.partial(max, 1e-5)


@_kind("numpy-val-loss")
def _numpy_loss(state: State) -> None:
    state["extra_state"].update(val_loss=np.float32(3.21), best=np.array(3.21))


# --- files by hand and by tools ---


@_kind("args")
def _args(state: State) -> None:
    """Flat settings of all sections, as before October 2020, with all that exist today."""
    state["args"] = _flat_args(state.pop("cfg"))


def _flat_args(cfg: State) -> argparse.Namespace:
    """Take the settings of all sections, which the section of the model repeats."""
    settings = {name: value for name, value in vars(cfg["model"]).items() if name != "_name"}
    return argparse.Namespace(**settings)


@_kind("args-dict")
def _args_dict(state: State) -> None:
    state["args"] = vars(_flat_args(state.pop("cfg")))


@_kind("bare")
def _bare(state: State) -> None:
    _replace(state, cfg=state["cfg"], model=state["model"])


@_kind("bare-args")
def _bare_args(state: State) -> None:
    _replace(state, args=_flat_args(state["cfg"]), model=dict(state["model"]))


@_kind("averaged")
def _averaged(state: State) -> None:
    """As ``scripts/average_checkpoints.py`` writes it: new tensors in a plain OrderedDict."""
    state["model"] = collections.OrderedDict(
        (name, (weight + weight) / 2 if weight.is_floating_point() else weight)
        for name, weight in state["model"].items()
    )


@_kind("wrapped")
def _wrapped(state: State) -> None:
    state["model"] = {f"module.{name}": weight for name, weight in state["model"].items()}


@_kind("fp16")
def _halves(state: State) -> None:
    """Rounded weights; compare with a model whose weights are rounded too."""
    state["model"] = {
        name: weight.half() if weight.is_floating_point() else weight
        for name, weight in state["model"].items()
    }


@_kind("legacy")
def _legacy(state: State) -> dict[str, Any]:
    """The format of torch before 1.6, which is no zip archive."""
    return {"_use_new_zipfile_serialization": False}


def _protocol(number: int) -> None:
    for form in ("", "-legacy"):

        @_kind(f"protocol-{number}{form}")
        def _saved(state: State, form: str = form) -> dict[str, Any]:
            return {"pickle_protocol": number, "_use_new_zipfile_serialization": not form}


for _number in (3, 4, 5):
    _protocol(_number)
