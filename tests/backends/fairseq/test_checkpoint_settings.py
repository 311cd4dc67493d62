"""Settings of a checkpoint: what is refused, what is emptied, and what passes unchanged."""

from __future__ import annotations

import copy
import dataclasses
import random
from argparse import Namespace

import pytest
import torch
from settings_examples import PATH, flat, refusal, sections
from tiny_zoo import _RECIPES

from fairseq_neuron_plugin.backends.fairseq.checkpoints.literals import is_literal
from fairseq_neuron_plugin.backends.fairseq.checkpoints.settings import (
    EVALUATED_SETTINGS,
    NAMED_FILE_SETTINGS,
    vet_settings,
)
from fairseq_neuron_plugin.errors import UserError

PROGRAMS = (
    *("open('canary', 'w')", "__import__('os').system('touch canary')", "[].append(1)"),
    *("[open('canary', 'w'), True]", "{'name': open('canary', 'w')}", "10,20,open('canary', 'w')"),
    *("[x for x in [1]]", "tuple(x for x in 'a')", "(lambda: 1)()", "f'{open}'", "f'a'"),
    *("().__class__", "(1).real", "args", "self.cfg", "print", "yes please", "import os", "1;2"),
    *(
        "1 if 1 else 2",
        "1 and 2",
        "1 < 2",
        "not 1",
        "~1",
        "-True",
        "--1",
        "1 + 1",
        "2**3",
        "9**9**9",
    ),
    *("'a' * 10", "'a' + 'b'", "'%s' % 1", "[1] + (1,)", "[1] * [1]", "[1] * True", "[1] * -1"),
    *("[0] * 10**12", "[0] * 99999", "[[0] * 1000] * 1000", "[*[1]]", "{**{}}", "(x := 1)"),
    *("b'x'", "1j", "...", "9" * 30, "1#", "\n1", "1\\\n", "'\\x41'", "'\\N{DIGIT ONE}'", "1\0"),
    *("\ud800", "\uff4f\uff50\uff45\uff4e('canary', 'w')", "# coding: x\n1", "${task.data}"),
    *("(" * 10_000, "[" * 500 + "]" * 500, "-" * 100_000 + "1", "[1]" + "+[1]" * 999, "1," * 999),
)
LITERALS = (
    *("True", "0", "-1", "1e-6", "None", "10,20", "(0.9, 0.98)", "'0.5'", " \t[3, 5]", "", "  "),
    *("[(512, 3)] * 20", "[(512, 3)] * 9 + [(1024, 3)] * 4 + [(2048, 1)] * 2", "2 * ((1, 2),)"),
    *("[(1, 64), (2, 128), (3, 192)]", "{'name': 'scaled_dot_product', 'dropout': 0.1}"),
    *("[(512, 10, 5)] + [(512, 3, 2)] * 4 + [(512,2,2)] + [(512,2,2)]", "{1, 2}", "[]", "()"),
    *(
        "((32, 3, 2, 2, False),) * 2",
        "('lm.bin', 'lexicon.txt', 1.5, -1)",
        "{'main': ('src', None)}",
    ),
    "+".join(["[(512, 3)]"] * 15),
)


@pytest.mark.parametrize("name", sorted(EVALUATED_SETTINGS))
def test_an_evaluated_setting_has_to_be_a_literal(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for program in PROGRAMS:
        for settings, where in (
            (flat(**{name: program}), name),
            (sections(**{name: program}), f"model.{name}"),
            (sections(part=Namespace(parts=[{name: program}])), f"model.part.parts[0].{name}"),
        ):
            line = refusal(settings)
            assert line.startswith(f"checkpoint {PATH}: setting {where} must be a literal"), line
            assert line.endswith("nothing was run"), line
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", sorted(EVALUATED_SETTINGS - NAMED_FILE_SETTINGS.keys()))
def test_honest_values_of_evaluated_settings(name):
    for value in (*LITERALS, None, True, 0, 1.5, [10, 20], (0.9, 0.98), {"name": "x"}):
        for settings in (flat(**{name: value}), sections(**{name: value})):
            before = copy.deepcopy(settings)
            assert vet_settings(settings, PATH) == []
            assert settings == before


@pytest.mark.parametrize(
    ("part", "name"), [("decoder", "attention"), ("encoder", "layers"), ("xformers", "att_config")]
)
def test_a_setting_in_a_part_counts_under_its_flat_name(part, name):
    line = refusal(sections(**{part: {name: "open('canary', 'w')"}}))
    assert f"setting model.{part}.{name} must be a literal" in line


def test_no_literal_is_a_program():
    """Whatever is taken for a literal compiles to code that calls and looks up nothing."""
    generator = random.Random(3)
    tokens = [*"x[](){},:+*-.=", "**", "1", "20", "-1", "1.5", "True", "None", "'a'", "f''", "b''"]
    tokens += ["not", "if", "else", "for", "in"]
    taken = 0
    for _ in range(30_000):
        text = " ".join(generator.choices(tokens, k=generator.randint(1, 9)))
        if is_literal(text):
            code = compile(text.strip(), "", "eval")
            assert code.co_names == (), text
            assert not any(hasattr(value, "co_code") for value in code.co_consts), text
            assert eval(code, {"__builtins__": {}}) == eval(text, {"__builtins__": {}})
            taken += 1
    assert taken > 300


@pytest.mark.parametrize("name", sorted(NAMED_FILE_SETTINGS))
def test_what_names_a_file_is_emptied(name):
    nothing = NAMED_FILE_SETTINGS[name]
    value = "('/dev/zero', '', 0, 0)" if name == "wer_args" else "/dev/zero"
    for given in (value, 1, 0.5, True, ["/dev/zero"], {"a": 1}):
        settings = sections(**{name: given})
        settings["task"] = Namespace(_name="translation", inner={name: given})
        expected = [f"task.inner.{name}", f"model.{name}"]
        assert sorted(vet_settings(settings, PATH)) == sorted(expected)
        assert settings["model"][name] == settings["task"].inner[name] == nothing
        args = flat(**{name: given})
        assert vet_settings(args, PATH) == [name]
        assert getattr(args, name) == nothing
    for empty in (None, "", nothing):
        settings = sections(**{name: empty})
        before = copy.deepcopy(settings)
        assert vet_settings(settings, PATH) == []
        assert settings == before


def test_a_file_in_a_part_is_emptied():
    settings = sections(encoder={"embed_path": "a"}, decoder=Namespace(embed_path="b"))
    assert vet_settings(settings, PATH) == ["model.encoder.embed_path", "model.decoder.embed_path"]
    assert settings["model"]["encoder"] == {"embed_path": None}
    assert settings["model"]["decoder"] == Namespace(embed_path=None)


@pytest.mark.parametrize(
    ("value", "left"),
    [("config.yaml", True), ("a/b.yaml", True), ("/dev/zero", False), ("../x", False), (0, False)],
)
def test_a_file_of_the_data_stays_there(value, left):
    settings = sections()
    settings["task"]["config_yaml"] = value
    assert vet_settings(settings, PATH) == ([] if left else ["task.config_yaml"])
    assert settings["task"]["config_yaml"] == (value if left else None)


def test_user_dir_stays():
    """fairseq imports the one of its command line alone."""
    settings = sections()
    assert vet_settings(settings, PATH) == []
    assert settings["common"]["user_dir"] == "/their/code"


def test_emptied_values_fit_the_dataclasses_of_fairseq():
    from fairseq.models import MODEL_DATACLASS_REGISTRY
    from fairseq.registry import REGISTRIES
    from fairseq.tasks import TASK_DATACLASS_REGISTRY
    from omegaconf import OmegaConf

    tables = [MODEL_DATACLASS_REGISTRY, TASK_DATACLASS_REGISTRY]
    tables += [registry["dataclass_registry"] for registry in REGISTRIES.values()]
    checked = set()
    for one in {one for table in tables for one in table.values() if dataclasses.is_dataclass(one)}:
        for field in dataclasses.fields(one):
            if field.name in NAMED_FILE_SETTINGS:
                config = OmegaConf.structured(one)
                config[field.name] = NAMED_FILE_SETTINGS[field.name]
                checked.add(field.name)
    assert {"w2v_path", "label_dir", "wer_kenlm_model", "use_plasma_view"} <= checked


@pytest.mark.parametrize("value", ["data-bin", "a:b", ["a", "b"], ("a",), [], None])
def test_data(value):
    settings = sections()
    settings["task"]["data"] = value
    assert vet_settings(settings, PATH) == []
    assert settings["task"]["data"] == value


@pytest.mark.parametrize("value", [0, True, ["a", 1], {"a": "b"}, [["a"]], Namespace()])
def test_data_that_is_no_path(value):
    settings = sections()
    settings["task"]["data"] = value
    assert "setting task.data must be a path, or a list of paths" in refusal(settings)


@pytest.mark.parametrize(
    "name",
    [
        "_name",
        "arch",
        "task",
        "criterion",
        "optimizer",
        "lr_scheduler",
        "bpe",
        "tokenizer",
        "scoring",
    ],
)
def test_registered_names(name):
    for value in ("lstm", "transformer_iwslt_de_en", "my-model.v2", "", None):
        assert vet_settings(sections(**{name: value}), PATH) == []
    for value in (
        *("../../tmp/evil", "/tmp/evil", "a,b", "{a:1}", "a b", "a\n", "x'y", "a=b", "choice(a)"),
        *("~a", "$x", "\ud800", "..", "x" * 300),
        *(0, True, 1.5, ["lstm"], ("lstm",)),
    ):
        line = refusal(
            flat(**{name: value}) if name not in ("arch", "task") else sections(**{name: value})
        )
        assert f"{name} must be a name, not " in line


def test_registered_names_are_sections_too():
    assert vet_settings(sections(w2v_args={"task": {"_name": "x"}}), PATH) == []
    assert "must be a name, not a dict" in refusal(sections(_name={"x": 1}))


def test_references():
    settings = sections(width=4, again="${model.width}", rates="${optimization.lr}")
    before = copy.deepcopy(settings)
    assert vet_settings(settings, PATH) == []
    assert settings == before


@pytest.mark.parametrize(
    "text",
    [
        *("${oc.env:HOME}", "${env:HOME}", "${hydra:runtime.cwd}", "${oc.decode:${model.width}}"),
        *(
            "${oc.create:{a:1}}",
            "x${model.width}",
            "${model.width}x",
            "${.width}",
            "${model}",
            "${",
        ),
        *(
            "${model.nothing}",
            "${nothing.width}",
            "${optimization}",
            "${model.again}",
            "${common.x.y}",
        ),
        *(
            "${criterion._name}",
            "\\${model.width}",
            "${model.width}\n",
            "${model[width]}",
            "${ model.width}",
        ),
    ],
)
def test_references_to_more_than_a_value(text):
    line = refusal(sections(width=4, again=text))
    assert "setting model.again must be a value, not '" in line
    assert "setting x must be a value" in refusal(flat(x=text))


def test_references_stand_for_one_setting():
    assert "model.x[0] must be a value" in refusal(sections(width=4, x=["${model.width}"]))
    assert "model.x must be a value" in refusal(sections(x="${model.y}", y=["${model.x}"]))
    assert "model.x.y must be a value" in refusal(sections(w=1, x=Namespace(y="${model.w}")))
    line = refusal(sections(decoder_attention="${task.data}"))
    assert "must be a literal" in line


@pytest.mark.parametrize("text", ["\\'", 'a\\"b', "C:\\", "\\\\'", "', \\' a=b"])
def test_texts_that_break_the_quotes_of_hydra(text):
    assert "setting x has a backslash before a quote or at its end" in refusal(flat(x=text))
    assert "setting x[0] has a backslash" in refusal(flat(x=[text]))
    assert vet_settings(sections(x=text, y=Namespace(z=text)), PATH) == []


def test_hydra_reads_flat_texts_as_they_are():
    """Of random texts, those that are taken come out of fairseq's overrides unchanged."""
    from fairseq.dataclass.utils import _override_attr
    from fairseq.tasks.translation import TranslationConfig
    from hydra.core.override_parser.overrides_parser import OverridesParser

    parser = OverridesParser.create()
    generator = random.Random(5)
    taken = 0
    for _ in range(400):
        text = "".join(generator.choices("\\'\"$ {}[],x:()=\t#~+ab1", k=generator.randint(1, 8)))
        try:
            vet_settings(flat(source_lang=text), PATH)
        except UserError:
            continue
        overrides = _override_attr("task", TranslationConfig, Namespace(source_lang=text))
        override = next(one for one in overrides if one.startswith("task.source_lang="))
        parsed = parser.parse_override(override)
        assert not parsed.is_sweep_override()
        assert parsed.value() == text
        taken += 1
    assert taken > 200


def config_of(path):
    with torch.serialization.safe_globals([Namespace]):
        return torch.load(path, map_location="cpu", weights_only=True)


def assert_unchanged(path):
    settings = config_of(path)["cfg"]
    assert isinstance(settings["model"], dict | Namespace)
    before = copy.deepcopy(settings)
    assert vet_settings(settings, path) == []
    assert settings == before


@pytest.mark.parametrize("name", ["stock", "neuron"])
def test_honest_configurations_pass_unchanged(tiny, name):
    assert_unchanged(getattr(tiny, name))


@pytest.mark.parametrize("name", sorted(_RECIPES))
def test_configurations_of_the_zoo_pass_unchanged(zoo, name):
    assert_unchanged(zoo.checkpoint(name))


def built(state, path, data):
    """The model that fairseq builds from a checkpoint whose settings have been vetted."""
    from fairseq import checkpoint_utils
    from omegaconf import OmegaConf

    import fairseq_neuron_plugin.register  # noqa: F401

    emptied = vet_settings(state["cfg"], path)
    state["cfg"] = OmegaConf.create(state["cfg"], flags={"allow_objects": True})
    state["cfg"].task.data = str(data)
    models, _, _ = checkpoint_utils.load_model_ensemble_and_task([str(path)], state=state)
    return emptied, models[0].state_dict()


def test_a_frozen_embedding_is_built_without_its_file(tiny):
    state = config_of(tiny.stock)
    weights = dict(state["model"])
    vars(state["cfg"]["model"]).update(
        encoder_embed_path="/nowhere",
        decoder_embed_path="/nowhere",
        encoder_freeze_embed=True,
        decoder_freeze_embed=True,
    )
    emptied, loaded = built(state, tiny.stock, tiny.data)
    assert emptied == ["model.encoder_embed_path", "model.decoder_embed_path"]
    assert all(torch.equal(loaded[name], weight) for name, weight in weights.items())


def test_a_transformer_is_built_without_the_one_it_started_from(zoo):
    path = zoo.checkpoint("transformer")
    state = config_of(path)
    weights = dict(state["model"])
    vars(state["cfg"]["model"]).update(
        _name="transformer_from_pretrained_xlm",
        arch="transformer_from_pretrained_xlm",
        pretrained_xlm_checkpoint="/nowhere",
    )
    emptied, loaded = built(state, path, zoo.data("pair"))
    assert emptied == ["model.pretrained_xlm_checkpoint"]
    assert all(torch.equal(loaded[name], weight) for name, weight in weights.items())
