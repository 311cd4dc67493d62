"""Sizes that the weights in the same file contradict, or that no model can have."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from hostile_files import EITHER, LANGUAGE_MODEL, REFUSED, TRANSLATION, HostileFile, Scene, changed

_VALUES: dict[str, Any] = {
    "a million": 10**6,
    "a billion": 10**9,
    "a quintillion": 10**18,
    "more than a long": 10**30,
    "minus one": -1,
    "zero": 0,
    "NaN": float("nan"),
    "infinity": float("inf"),
    "a text": "two",
    "a list": [2],
    "None": None,
    "a dictionary": {"a": 1},
    "a fraction": 32.5,
    "a truth value": True,
    "a number in a text": "1000000000",
}
# Sizes that weights tell, by bases.
_TOLD: dict[tuple[str | None, str | None], tuple[str, ...]] = {
    (TRANSLATION, None): (
        *("encoder_hidden_size", "encoder_embed_dim", "encoder_layers", "decoder_layers"),
        *("decoder_hidden_size", "decoder_embed_dim", "decoder_out_embed_dim"),
    ),
    (None, LANGUAGE_MODEL): (
        *("decoder_hidden_size", "decoder_embed_dim", "decoder_layers", "decoder_out_embed_dim"),
    ),
    ("transformer", None): (
        *("encoder_embed_dim", "encoder_ffn_embed_dim", "encoder_layers", "decoder_layers"),
        *("decoder_embed_dim", "decoder_ffn_embed_dim", "decoder_output_dim", "decoder_input_dim"),
    ),
    (None, "transformer_lm"): (
        *("decoder_embed_dim", "decoder_ffn_embed_dim", "decoder_layers", "decoder_output_dim"),
        "decoder_input_dim",
    ),
}
# And those that they do not: the model may run with them or not, in good time.
_UNTOLD: dict[tuple[str | None, str | None], tuple[str, ...]] = {
    (TRANSLATION, None): ("dropout", "max_source_positions", "encoder_dropout_in"),
    (None, LANGUAGE_MODEL): ("max_target_positions", "tokens_per_sample", "dropout"),
    ("transformer", None): (
        *("encoder_attention_heads", "decoder_attention_heads", "max_source_positions"),
        *("max_target_positions", "encoder_layerdrop", "quant_noise_pq", "base_layers"),
        *("encoder_layers_to_keep", "min_params_to_wrap", "adaptive_softmax_dropout"),
    ),
    (None, "transformer_lm"): (
        *("decoder_attention_heads", "max_target_positions", "tokens_per_sample", "base_layers"),
        *("decoder_layers_to_keep", "adaptive_input_factor", "char_embedder_highway_layers"),
    ),
}
_EACH = 2  # values of the list, in turn, for each setting


def files() -> Iterator[HostileFile]:
    """All of this module."""
    labels = list(_VALUES)
    turn = 0
    for table, outcome in ((_TOLD, REFUSED), (_UNTOLD, EITHER)):
        for bases, settings in table.items():
            for setting in settings:
                for label in (labels * 2)[turn : turn + _EACH]:
                    own = _own_outcome(label, outcome)
                    arch = bases[0] or bases[1]
                    name = f"size/{arch}, {setting}, {label}"
                    change = _change(setting, _VALUES[label])
                    yield HostileFile(name, own, changed(change), bases)
                turn = (turn + _EACH + 1) % len(labels)
    for bases in (*_TOLD,):
        change = _change_all(bases, 10**9)
        yield HostileFile(f"size/{bases[0] or bases[1]}, all", REFUSED, changed(change), bases)
    for label, (change, bases) in _MORE.items():
        yield HostileFile(f"size/{label}", REFUSED, changed(change), bases)


def _own_outcome(label: str, outcome: str) -> str:
    # None is "not given" in fairseq, and True counts as 1 there.
    return EITHER if label in ("None", "a truth value") else outcome


def _change(setting: str, value: Any) -> Callable[[Scene], None]:
    return lambda scene: scene.settings().update({setting: value})


def _change_all(bases: tuple[str | None, str | None], value: Any) -> Callable[[Scene], None]:
    return lambda scene: scene.settings().update(dict.fromkeys(_TOLD[bases], value))


def _in_args(setting: str, value: Any) -> Callable[[Scene], None]:
    def change(scene: Scene) -> None:
        scene.flatten()
        vars(scene.state["args"])[setting] = value

    return change


def _convolutions(text: str) -> Callable[[Scene], None]:
    return lambda scene: scene.settings().update(
        _name="fconv", arch="fconv", encoder_layers=text, decoder_layers=text
    )


def _cutoff(value: str) -> Callable[[Scene], None]:
    own = {"criterion": "adaptive_loss", "adaptive_softmax_cutoff": value}
    return lambda scene: scene.settings().update(own)


_PAIR, _TEXT = (TRANSLATION, None), (None, LANGUAGE_MODEL)
_MORE: dict[str, tuple[Callable[[Scene], None], tuple[str | None, str | None]]] = {
    "encoder_hidden_size in args": (_in_args("encoder_hidden_size", 10**6), _PAIR),
    "decoder_layers in args": (_in_args("decoder_layers", 10**9), _TEXT),
    "a wide convolution": (_convolutions("[(10000000, 3)]"), _PAIR),
    "many convolutions": (_convolutions(str([(512, 3)] * 5000)), _PAIR),
    "a deep kernel": (_convolutions("[(512, 1000000000)]"), _PAIR),
    "cutoffs that fall": (_cutoff("20,10"), _TEXT),
    "cutoffs of a quintillion": (_cutoff(f"10,{10**18}"), _TEXT),
    "cutoffs below zero": (_cutoff("-5,-1"), _TEXT),
    "a thousand cutoffs": (_cutoff(",".join(map(str, range(1, 590)))), _TEXT),
    "positions that are learned": (
        lambda scene: scene.settings().update(
            encoder_learned_pos=True,
            decoder_learned_pos=True,
            max_source_positions=10**9,
            max_target_positions=10**9,
            tokens_per_sample=10**9,
        ),
        ("transformer", "transformer_lm"),
    ),
    "wide layers one by one": (
        lambda scene: scene.settings().update(encoder_layers=10**5, decoder_layers=10**5),
        ("transformer", "transformer_lm"),
    ),
    "layers as large as the embedding": (
        lambda scene: scene.settings().update(decoder_layers=3000, encoder_layers=3000),
        (TRANSLATION, LANGUAGE_MODEL),
    ),
}
