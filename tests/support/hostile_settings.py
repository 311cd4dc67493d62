"""Settings that are programs, or that name files which are nobody's business."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from hostile_files import (
    EITHER,
    LANGUAGE_MODEL,
    REFUSED,
    SECRET,
    TRANSLATION,
    HostileFile,
    Scene,
    Trap,
    changed,
)

# architecture: bases of the file, settings without which it would not come to the evaluation,
# settings that are evaluated, here or in older or newer versions of fairseq
_ADAPTIVE = {"criterion": "adaptive_loss"}
_CUTOFF = "adaptive_softmax_cutoff"
_CONVOLUTIONS = {
    **{"encoder_layers": "[(32, 3)]", "decoder_layers": "[(32, 3)]", "decoder_attention": "True"},
    "share_input_output_embed": False,
}
_SELF = {
    **{"pretrained": "False", "encoder_layers": "[(32, 3)]", "decoder_layers": "[(32, 3)]"},
    **{"encoder_attention": "False", "decoder_attention": "True", "self_attention": "False"},
    **{"project_input": "False", "gated_attention": "False", "downsample": "False"},
    **{"encoder_attention_nheads": 1, "multihead_attention_nheads": 1},
    **{"multihead_self_attention_nheads": 1, "pretrained_checkpoint": ""},
}
_PAIR, _TEXT = (TRANSLATION, None), (None, LANGUAGE_MODEL)
_EVALUATED: dict[str, tuple[tuple[str | None, str | None], dict[str, Any], tuple[str, ...]]] = {
    "lstm": (_PAIR, _ADAPTIVE, ("decoder_attention", _CUTOFF, "encoder_bidirectional")),
    "neuron_lstm": (_PAIR, _ADAPTIVE, ("decoder_attention", _CUTOFF)),
    "lstm_wiseman_iwslt_de_en": (_PAIR, {}, ("decoder_attention",)),
    "lstm_lm": (_TEXT, _ADAPTIVE, (_CUTOFF, "decoder_attention")),
    "neuron_lstm_lm": (_TEXT, _ADAPTIVE, (_CUTOFF,)),
    "transformer": (
        ("transformer", None),
        {},
        (_CUTOFF, "encoder_xformers_att_config", "decoder_xformers_att_config"),
    ),
    "transformer_iwslt_de_en": (("transformer", None), {}, (_CUTOFF,)),
    "transformer_lm": (
        (None, "transformer_lm"),
        {"character_embeddings": True, "adaptive_input": True},
        ("character_filters", "adaptive_input_cutoff", _CUTOFF),
    ),
    "transformer_lm ": (
        (None, "transformer_lm"),
        {"adaptive_input": True},
        ("adaptive_input_cutoff",),
    ),
    "fconv": (_PAIR, _CONVOLUTIONS, ("encoder_layers", "decoder_layers", "decoder_attention")),
    "fconv_lm": (
        _TEXT,
        _ADAPTIVE | _CONVOLUTIONS,
        ("decoder_layers", "decoder_attention", _CUTOFF),
    ),
    "fconv_self_att": (_PAIR, _SELF, tuple(k for k, v in _SELF.items() if isinstance(v, str))[:-1]),
    "lightconv": (
        ("transformer", None),
        {},
        (_CUTOFF, "encoder_kernel_size_list", "weight_softmax"),
    ),
    "lightconv_lm": ((None, "transformer_lm"), {}, ("character_filters", "decoder_glu")),
}
_TASKS = {
    "multilingual_translation": ("left_pad_source", "left_pad_target"),
    "translation_multi_simple_epoch": ("left_pad_source", "langtoks", "extra_data"),
    "online_backtranslation": ("left_pad_source",),
    "laser": ("left_pad_source",),
}
Form = Callable[[Trap], Any]
# How a program can stand in a setting. fairseq evaluates the texts; the rest must not matter.
_FORMS: dict[str, Form] = {
    "an expression": lambda trap: trap.expression,
    "a call of the shell": lambda trap: f"__import__('os').system({trap.touch!r}) or True",
    "bytes": lambda trap: trap.expression.encode(),
    "a list of one": lambda trap: [trap.expression],
    "a list in a text": lambda trap: f"[{trap.expression}, True]",
    "a dictionary in a text": lambda trap: f"{{'name': {trap.expression}}}",
    "a comprehension": lambda trap: f"[x for x in [{trap.expression}]]",
    "a lambda": lambda trap: f"(lambda: {trap.expression})()",
    "a formatted text": lambda trap: f"f'{{{trap.expression}}}'",
    "a generator": lambda trap: f"tuple({trap.expression} for _ in 'x')",
    "white space before it": lambda trap: f" \t\n{trap.expression}",
    "a line break": lambda trap: f"1,\\\n{trap.expression}",
    "after a comma": lambda trap: f"10,20,{trap.expression}",
    "a subclass walk": lambda trap: _walk(trap),
    "other letters": lambda trap: trap.expression.replace("open", "\uff4f\uff50\uff45\uff4e"),
    "an open bracket": lambda trap: "(" * 10_000,
    "deep lists": lambda trap: "[" * 5_000 + "]" * 5_000,
    "many signs": lambda trap: "-" * 100_000 + "1",
    "a long number": lambda trap: "9" * 1_000_000,
    "a long power": lambda trap: "9**9**9",
    "a long list": lambda trap: "[0]*10**12",
    "a long text": lambda trap: "'x'*10**12",
    "a byte of zero": lambda trap: "1\0",
    "half a character": lambda trap: "\ud800",
    "an encoding": lambda trap: f"# coding: hostile\n{trap.expression}",
    "nothing": lambda trap: "",
    "words": lambda trap: "yes please",
}


def _walk(trap: Trap) -> str:
    found = "next(c for c in ().__class__.__base__.__subclasses__() if c.__name__ == 'Popen')"
    return f"{found}({['touch', trap.canary]!r})"


def files() -> Iterator[HostileFile]:
    """All of this module."""
    for arch, (bases, needed, settings) in _EVALUATED.items():
        for setting in settings:
            change = _model_change(arch.strip(), needed, setting, _FORMS["an expression"])
            yield HostileFile(f"evaluated/{arch}, {setting}", REFUSED, changed(change), bases)
    for task, settings in _TASKS.items():
        for setting in settings:
            yield HostileFile(
                f"evaluated/{task}, {setting}", REFUSED, changed(_task_change(task, setting)), _PAIR
            )
    for label, form in _FORMS.items():
        outcome = EITHER if label == "nothing" else REFUSED
        change = _model_change("lstm", {}, "decoder_attention", form)
        yield HostileFile(f"form/{label}", outcome, changed(change), _PAIR)
    for label in ("an expression", "bytes", "a list of one", "after a comma", "a long number"):
        text = _model_change("lstm_lm", _ADAPTIVE, _CUTOFF, _FORMS[label])
        yield HostileFile(f"form/{label} in a list", REFUSED, changed(text), _TEXT)
    for label, (change, bases) in _ELSEWHERE.items():
        yield HostileFile(f"elsewhere/{label}", REFUSED, changed(change), bases)
    for label, text in _TEMPLATES.items():
        for setting in ("activation_fn", "decoder_layers"):
            change = _interpolation(setting, text)
            bases = ("transformer", "transformer_lm")
            yield HostileFile(f"template/{label} in {setting}", EITHER, changed(change), bases)
    for label, (change, bases) in _NAMED.items():
        yield HostileFile(f"named/{label}", EITHER, changed(change), bases)


def _model_change(
    arch: str, needed: dict[str, Any], setting: str, form: Form
) -> Callable[[Scene], None]:
    def change(scene: Scene) -> None:
        own = {"_name": arch, "arch": arch, **needed, setting: form(scene.trap)}
        scene.settings().update(own)

    return change


def _task_change(task: str, setting: str) -> Callable[[Scene], None]:
    def change(scene: Scene) -> None:
        scene.flatten()  # these tasks' settings are a Namespace
        own = {"task": task, "lang_pairs": "en-de", "langs": "en,de"}
        vars(scene.state["args"]).update(own, **{setting: scene.trap.expression})

    return change


def _in_args(scene: Scene) -> None:
    scene.flatten()
    scene.state["args"].decoder_attention = scene.trap.expression


def _nested(part: str, setting: str) -> Callable[[Scene], None]:
    def change(scene: Scene) -> None:
        scene.settings()[part] = {setting: scene.trap.expression}

    return change


def _nested_in_args(scene: Scene) -> None:
    scene.flatten()
    scene.state["args"].decoder = type(scene.state["args"])(
        xformers_att_config=scene.trap.expression
    )


def _quoted(scene: Scene) -> None:
    r"""fairseq writes `key='value'` for hydra, and a quote in it as ``\'``: not after a ``\``."""
    scene.flatten()
    vars(scene.state["args"])["activation_fn"] = rf"\' hydra.run.dir={scene.trap.canary} x=\'"


def _quoted_lists(scene: Scene) -> None:
    scene.flatten()
    vars(scene.state["args"])["data"] = "x' +hydra/launcher=joblib '"


def _bad_number(scene: Scene) -> None:
    """A field of numbers that is a text goes through the reader of literals."""
    scene.flatten()
    vars(scene.state["args"])["update_freq"] = scene.trap.expression


_BOTH_TRANSFORMERS = ("transformer", "transformer_lm")
_ELSEWHERE: dict[str, tuple[Callable[[Scene], None], tuple[str | None, str | None]]] = {
    "decoder_attention in args": (_in_args, _PAIR),
    "decoder: xformers_att_config": (_nested("decoder", "xformers_att_config"), _BOTH_TRANSFORMERS),
    "encoder: xformers_att_config": (_nested("encoder", "xformers_att_config"), _BOTH_TRANSFORMERS),
    "decoder: xformers_att_config in args": (_nested_in_args, _BOTH_TRANSFORMERS),
    "update_freq in args": (_bad_number, _BOTH_TRANSFORMERS),
}


def _interpolation(setting: str, text: str) -> Callable[[Scene], None]:
    def change(scene: Scene) -> None:
        scene.settings()[setting] = text.replace("FIFO", scene.trap.fifo)

    return change


_TEMPLATES = {
    "an environment variable": f"${{oc.env:{SECRET}}}",
    "decoding": f"${{oc.decode:${{oc.env:{SECRET}}}}}",
    "itself": "${model.activation_fn}",
    "another part": "${task.data}",
    "creating": "${oc.create:{a:1}}",
    "hydra": "${hydra:runtime.cwd}",
    "no resolver": "${nothing:x}",
    "half of one": "${oc.env:",
    "a missing value": "???",
}


def _named(setting: str, where: str, part: str = "model", **more: Any) -> Callable[[Scene], None]:
    def change(scene: Scene) -> None:
        path = getattr(scene.trap, where, None) or scene.trap.path(where)
        scene.settings(part).update({setting: path, **more})

    return change


def _device(setting: str, path: str) -> Callable[[Scene], None]:
    return lambda scene: scene.settings().update({setting: path})


def _named_in_args(setting: str) -> Callable[[Scene], None]:
    def change(scene: Scene) -> None:
        scene.flatten()
        vars(scene.state["args"])[setting] = scene.trap.fifo

    return change


def _bpe(scene: Scene) -> None:
    scene.state["cfg"]["bpe"] = {"_name": "subword_nmt", "bpe_codes": scene.trap.fifo}


def _eval_bleu(scene: Scene) -> None:
    """The task builds a generator, a tokenizer too, from the texts in these settings."""
    args = f'{{"symbols_to_strip_from_output": "{scene.trap.expression}"}}'
    scene.settings("task").update(
        eval_bleu=True,
        eval_bleu_detok="moses",
        eval_bleu_detok_args=f'{{"source_lang": "{scene.trap.fifo}"}}',
        eval_bleu_args=args.replace('"(', "(").replace(')"', ")"),
    )


def _pretrained(scene: Scene) -> None:
    own = {**_SELF, "pretrained": "True", "pretrained_checkpoint": scene.trap.fifo}
    scene.settings().update(own, _name="fconv_self_att", arch="fconv_self_att")


_TRANSFORMER_PAIR = ("transformer", None)
_NAMED: dict[str, tuple[Callable[[Scene], None], tuple[str | None, str | None]]] = {
    "encoder_embed_path, a pipe": (_named("encoder_embed_path", "fifo"), _PAIR),
    "decoder_embed_path, a pipe": (_named("decoder_embed_path", "fifo"), _PAIR),
    "decoder_embed_path of a language model": (_named("decoder_embed_path", "fifo"), _TEXT),
    "encoder_embed_path, a file": (_named("encoder_embed_path", "embeddings.txt"), _PAIR),
    "encoder_embed_path, a folder": (_named("encoder_embed_path", "folder"), _PAIR),
    "encoder_embed_path of a transformer": (
        _named("encoder_embed_path", "fifo"),
        _TRANSFORMER_PAIR,
    ),
    "decoder_embed_path of a transformer": (
        _named("decoder_embed_path", "embeddings.txt"),
        _TRANSFORMER_PAIR,
    ),
    "encoder_embed_path in args": (_named_in_args("encoder_embed_path"), _PAIR),
    "encoder_embed_path of fconv": (
        _named("encoder_embed_path", "fifo", _name="fconv", arch="fconv"),
        _PAIR,
    ),
    "pretrained_checkpoint": (_pretrained, _PAIR),
    "zeros without end": (_device("encoder_embed_path", "/dev/zero"), _PAIR),
    "zeros without end for the decoder": (_device("decoder_embed_path", "/dev/zero"), _TEXT),
    "the terminal": (_device("encoder_embed_path", "/dev/stdin"), _PAIR),
    "another user's memory": (_device("encoder_embed_path", "/proc/self/mem"), _PAIR),
    "user_dir": (_named("user_dir", "user_dir", "common"), (TRANSLATION, LANGUAGE_MODEL)),
    "user_dir of the model": (_named("user_dir", "user_dir"), (TRANSLATION, LANGUAGE_MODEL)),
    "user_dir in args": (_named_in_args("user_dir"), (TRANSLATION, LANGUAGE_MODEL)),
    "data of the task": (_named("data", "fifo", "task"), (TRANSLATION, LANGUAGE_MODEL)),
    "data that is a folder": (_named("data", "folder", "task"), (TRANSLATION, LANGUAGE_MODEL)),
    "data in args": (_named_in_args("data"), (TRANSLATION, LANGUAGE_MODEL)),
    "restore_file": (_named("restore_file", "fifo", "checkpoint"), (TRANSLATION, LANGUAGE_MODEL)),
    "finetune_from_model": (_named("finetune_from_model", "fifo", "checkpoint"), _PAIR),
    "path of an evaluation": (_named("path", "fifo", "common_eval"), _PAIR),
    "results_path": (_named("results_path", "canary", "common_eval"), _PAIR),
    "tensorboard_logdir": (_named("tensorboard_logdir", "canary", "common"), _PAIR),
    "log_file": (_named("log_file", "canary", "common"), _PAIR),
    "quantization_config_path": (_named("quantization_config_path", "fifo", "common"), _PAIR),
    "quantization_config_path of the model": (
        _named("quantization_config_path", "fifo"),
        _BOTH_TRANSFORMERS,
    ),
    "codes of subwords": (_bpe, (TRANSLATION, LANGUAGE_MODEL)),
    "settings of BLEU": (_eval_bleu, _PAIR),
    "quotes for hydra": (_quoted, _BOTH_TRANSFORMERS),
    "a launcher for hydra": (_quoted_lists, _BOTH_TRANSFORMERS),
    "lang_dict": (
        _named(
            "lang_dict", "fifo", "task", _name="translation_multi_simple_epoch", lang_pairs="en-de"
        ),
        _PAIR,
    ),
    "source_dict": (
        _named(
            "source_dict",
            "fifo",
            "task",
            _name="translation_multi_simple_epoch",
            lang_pairs="en-de",
            langs=["en", "de"],
        ),
        _PAIR,
    ),
    "load_pretrained_encoder_from": (_named("load_pretrained_encoder_from", "fifo"), _PAIR),
    "w2v_path": (_named("w2v_path", "fifo", _name="wav2vec_seq2seq"), _PAIR),
}
