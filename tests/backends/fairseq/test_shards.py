"""Checkpoints in several files: what is joined is what was cut, and nothing else is joined."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from emulated_checkpoints import (
    differences,
    fsdp_parts,
    model_parallel_parts,
    save_parts,
)
from saved_state import saved_state

from fairseq_neuron_plugin.backends.fairseq.checkpoints.parts import find_parts, read_part
from fairseq_neuron_plugin.backends.fairseq.checkpoints.shards import (
    join_disjoint,
    join_fsdp,
    join_parts,
)
from fairseq_neuron_plugin.errors import UserError


@pytest.fixture(scope="module")
def state(zoo) -> dict:
    """Of a Transformer, its embeddings tied."""
    return saved_state(zoo.checkpoint("multi_simple_epoch"))


def tied(weights: dict) -> list[list[str]]:
    """Names of one and the same weight."""
    places: dict[int, list[str]] = {}
    for name, weight in weights.items():
        places.setdefault(weight.data_ptr(), []).append(name)
    return sorted(sorted(names) for names in places.values() if len(names) > 1)


@pytest.mark.parametrize("nested", [(), ("encoder.layers.0", "decoder.layers.1")])
@pytest.mark.parametrize("count", [1, 2, 5])
def test_shards_of_fsdp_are_joined(count: int, nested: tuple[str, ...], state, tmp_path) -> None:
    average = copy.deepcopy(state["model"])  # keeps what is tied
    for weight in {weight.data_ptr(): weight for weight in average.values()}.values():
        weight *= 2
    parts = fsdp_parts(state, count, nested)
    for part, other in zip(
        parts, fsdp_parts({**state, "model": average}, count, nested), strict=True
    ):
        part["extra_state"] = {"ema": other["model"], "ema_fp32_params": {}, "best": 1.5}
    paths = save_parts(parts, tmp_path)
    joined = join_parts([read_part(path) for path in paths], paths)
    assert joined.keys() == state.keys() - {"last_optimizer_state"}
    weights = joined["model"]
    assert sorted(weights) == sorted(state["model"])
    assert all(weights[name].equal(weight) for name, weight in state["model"].items())
    assert tied(weights) == tied(state["model"]) != []
    assert joined["extra_state"].keys() == {"ema", "best"}
    assert all(joined["extra_state"]["ema"][name].equal(average[name]) for name in average)


def test_a_parameter_that_fsdp_did_not_flatten(state) -> None:
    weight = torch.arange(12.0).reshape(4, 3)
    layout = {"names": ["w"], "shapes": [weight.shape], "numels": [12]}

    def metadata(padding: int) -> dict:
        module = {"fsdp_path": "layer", "params": {"w": {**layout, "padding": padding}}}
        return {"param_metadata": [module], "buffer_names": []}

    cut = [weight.reshape(-1)[:8], torch.cat([weight.reshape(-1)[8:], torch.zeros(4)])]
    joined = join_fsdp([{"layer.w": piece} for piece in cut], [metadata(0), metadata(4)], "x.pt")
    assert joined["layer.w"].equal(weight)
    assert join_fsdp([{"layer.w": weight}], [metadata(0)], "x.pt")["layer.w"].equal(weight)


@pytest.mark.parametrize("given", [0, 1, 11, None])
@pytest.mark.parametrize("name", ["model-shard{}.pt", "model-model_part-{}.pt", "model_part{}.pt"])
def test_all_parts_are_found_from_any(name: str, given: int | None, tmp_path) -> None:
    paths = [tmp_path / name.format(number) for number in range(12)]
    for path in (*paths, tmp_path / "other-shard12.pt", tmp_path / "model-shard12.pt.bak"):
        path.touch()
    assert find_parts(tmp_path / "model.pt" if given is None else paths[given]) == paths
    paths[7].unlink()
    with pytest.raises(UserError, match=f"not found: .*{name.format(7)}"):
        find_parts(paths[0])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"model": {"w": 3}}, "model is not a set of weights"),
        ({"model": []}, "model is not a set of weights"),
        ({"model": {"w": torch.ones(1)}, "extra_state": 3}, "extra_state cannot be read"),
        (None, "damaged or no checkpoint"),
    ],
)
def test_a_part_that_is_damaged(content, message: str, state, tmp_path) -> None:
    path = tmp_path / "x-shard0.pt"
    if content is None:
        path.write_bytes(b"no")
    else:
        torch.save({"cfg": state["cfg"], **content}, path)
    with pytest.raises(UserError, match=message):
        read_part(path)


@pytest.mark.parametrize("name", ["model.pt", "model_part2.pt", "x-shard.pt", "no-such.pt"])
def test_a_checkpoint_in_one_file_is_no_part(name: str, tmp_path) -> None:
    (tmp_path / "model.pt").touch()
    (tmp_path / "model_part2.pt").touch()
    assert find_parts(tmp_path / name) == [tmp_path / name]


def damaged(parts: list[dict], change: str) -> list[dict]:
    """Parts of FSDP that cannot be joined exactly."""
    last = parts[-1]
    modules = last["fsdp_metadata"]["param_metadata"]
    params = parts[0]["fsdp_metadata"]["param_metadata"][0]["params"]["flat_param_0"]
    if change == "one is missing":
        return parts[:-1]
    if change == "one too many":
        return [*parts, parts[-1]]
    if change == "other save":
        last["optimizer_history"] = [{**last["optimizer_history"][-1], "num_updates": 7}]
    elif change == "no metadata in one":
        del last["fsdp_metadata"]
    elif change == "no metadata":
        for part in parts:
            del part["fsdp_metadata"]
    elif change == "experts":
        parts[0]["fsdp_metadata"]["param_metadata"][0]["no_broadcast_optim_state"] = True
    elif change == "another buffer":
        last["model"] = {**last["model"], "encoder.version": torch.tensor([9.0])}
    elif change == "unknown weight":
        last["model"] = {**last["model"], "extra": torch.ones(1)}
    elif change == "padding":
        modules[0]["params"]["flat_param_0"]["padding"] = 10**9
    elif change == "negative padding":
        modules[0]["params"]["flat_param_0"]["padding"] = -1
    elif change == "text for padding":
        modules[0]["params"]["flat_param_0"]["padding"] = "3"
    elif change == "shapes":
        params["shapes"] = [(1,)] * len(params["shapes"])
    elif change == "fewer names":
        params["names"] = params["names"][1:]
    elif change == "negative sizes":
        params["numels"] = [-1, sum(params["numels"]) + 1]
        params["shapes"], params["names"] = [(size,) for size in params["numels"]], ["a", "b"]
    elif change == "no list":
        last["fsdp_metadata"] = 3
    elif change == "tie to nothing":
        modules[-1]["shared_param_info"] = [("a", "b")]
        parts[0]["fsdp_metadata"] = last["fsdp_metadata"]
    else:
        raise AssertionError(change)
    return parts


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("one is missing", "a shard is missing or one too many"),
        ("one too many", "a shard is missing or one too many"),
        ("other save", "different saves: after 7, "),
        ("no metadata in one", "some parts of .* have FSDP metadata and some have none"),
        ("no metadata", "flat_param_0 differs from that of another part"),
        ("experts", "a mixture of experts"),
        ("another buffer", "the buffer encoder.version differs"),
        ("unknown weight", "a shard holds extra, which"),
        ("padding", "metadata .* is damaged"),
        ("negative padding", "metadata .* is damaged"),
        ("text for padding", "metadata .* is damaged"),
        ("shapes", "metadata .* is damaged"),
        ("fewer names", "metadata .* is damaged"),
        ("negative sizes", "metadata .* is damaged"),
        ("no list", "metadata .* is damaged"),
        ("tie to nothing", "metadata .* is damaged"),
    ],
)
def test_shards_that_do_not_fit_are_refused(change: str, message: str, state) -> None:
    parts = damaged(copy.deepcopy(fsdp_parts(state, 3)), change)
    paths = [Path(f"x-shard{number}.pt") for number in range(len(parts))]
    with pytest.raises(UserError, match=message):
        join_parts(parts, paths)


def test_parts_without_metadata_are_joined_if_they_do_not_contradict(state) -> None:
    weights = dict(state["model"])
    half = len(weights) // 2
    first = dict(list(weights.items())[: half + 1])
    second = dict(list(weights.items())[half:])  # one weight is in both
    assert differences(join_disjoint([first, second], ["a", "b"]), weights) == []
    name = list(weights)[half]
    second[name] = weights[name] + 1
    with pytest.raises(UserError, match=f"b: {name} differs"):
        join_disjoint([first, second], ["a", "b"])


@pytest.mark.parametrize("count", [2, 4])
def test_parts_of_model_parallelism_are_joined(count: int, state) -> None:
    parts = model_parallel_parts(state, count, "transformer_lm_megatron")
    joined = join_parts(parts, ["x_part0.pt"] * count)
    assert differences(joined["model"], dict(state["model"])) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("fewer", "has 1 parts, but the model was cut into 2"),
        ("norm", "decoder.layers.0.self_attn_layer_norm.weight differs between parts"),
        ("missing", "decoder.layers.0.fc1.weight is in some parts only"),
        ("shape", "the parts of decoder.layers.0.fc1.weight do not fit together"),
    ],
)
def test_parts_of_model_parallelism_that_do_not_fit(change: str, message: str, state) -> None:
    parts = model_parallel_parts(state, 2, "transformer_lm_megatron")
    last = parts[-1]["model"]
    fc1, norm = "decoder.layers.0.fc1.weight", "decoder.layers.0.self_attn_layer_norm.weight"
    if change == "fewer":
        parts = parts[:1]
    elif change == "norm":
        last[norm] = last[norm] + 1
    elif change == "missing":
        del last[fc1]
    else:
        last[fc1] = last[fc1][:, 1:]
    with pytest.raises(UserError, match=message):
        join_parts(parts, ["x_part0.pt"] * len(parts))
