"""What each kind of model reads, and whose activations are whose, on both sides."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from tiny_models import TinyModels, call
from tiny_zoo import Zoo

from fairseq_neuron_plugin.activations import StoreWriter, write_store
from fairseq_neuron_plugin.checkpoint_task import task_flags
from fairseq_neuron_plugin.corpora import Batch, Corpus, read_split, read_text
from fairseq_neuron_plugin.corpora.readers import PairReader, SourceReader
from fairseq_neuron_plugin.corpora.symbols import SymbolRows, Symbols
from fairseq_neuron_plugin.errors import UserError
from fairseq_neuron_plugin.extraction import ExtractionSettings, extract
from fairseq_neuron_plugin.loading import Session, open_session
from fairseq_neuron_plugin.neurons import Layer, NeuronSpace
from fairseq_neuron_plugin.packed_sentences import PackedSentences


@dataclass(frozen=True)
class Case:
    """A checkpoint, a layer, and what the model reads before and after the text of that side."""

    model: str
    data: str
    layer: str
    before: tuple[str, ...]
    after: tuple[str, ...]
    source: tuple[tuple[str, ...], tuple[str, ...]] = ((), ("</s>",))

    @property
    def side(self) -> str:
        if self.model.endswith("_lm"):
            return "text"
        return "source" if self.layer.startswith("encoder") else "target"


END, ONE = ("</s>",), "encoder.layers.1"
EN_DE = (("__en__",), END)
TO_DE = ((), ("__de__",))
CASES = [
    Case("lstm", "pair", ONE, (), END),
    Case("lstm", "pair", "decoder.attention", END, END),
    Case("lstm_shared", "joined", "decoder.attention", END, END),
    Case("transformer", "pair", ONE, (), END),
    Case("transformer", "pair", "decoder.layers.1", END, END),
    Case("transformer_prenorm", "pair", ONE, (), END),
    Case("transformer_prenorm", "pair", "decoder.layers.1", END, END),
    Case("lstm_lm", "text", "decoder.layers.1", END, END),
    Case("neuron_lstm_lm", "text", "decoder.layers.1", END, END),
    Case("transformer_lm", "text", "decoder.layers.1", END, END),
    Case("multi_simple_epoch", "joined", ONE, *EN_DE),
    Case("multi_simple_epoch", "joined", "decoder.layers.1", ("</s>", "__de__"), END, EN_DE),
    Case("multilingual", "joined", ONE, *TO_DE),
    Case("multilingual", "joined", "decoder.layers.1", END, END, TO_DE),
]


_SESSIONS: dict[tuple, Session] = {}


def open_model(zoo: Zoo, case: Case, *flags: str) -> Session:
    """Each opened once: reading and extraction change no session."""
    key = (case.model, case.data, case.layer, flags)
    if key not in _SESSIONS:
        path = zoo.tiny.stock if case.model == "lstm" else zoo.checkpoint(case.model)
        given = ["--source-lang", "en", "--target-lang", "de"] if case.data == "joined" else []
        given += flags
        command = [str(zoo.data(case.data)), "--path", str(path), "--cpu", *given]
        _SESSIONS[key] = open_session([*command, *task_flags(path, given)])
    return _SESSIONS[key]


def encode(dictionary, before, line: str, after) -> torch.Tensor:
    return torch.tensor([[dictionary.index(s) for s in (*before, *line.split(), *after)]])


def by_hand(session: Session, case: Case, source: str, target: str) -> np.ndarray:
    """What stock fairseq makes of one sentence alone, without the symbols before its text."""
    model, task = session.models[0], session.task
    with torch.no_grad():
        encoded = None
        if case.side != "text":
            before, after = case.source
            if case.side == "source":
                before, after = case.before, case.after
            tokens = encode(task.source_dictionary, before, source, after)
            encoded = model.encoder(tokens, src_lengths=torch.tensor([tokens.size(1)]))
            if case.side == "source":
                top = encoded[0] if isinstance(encoded, tuple) else encoded["encoder_out"][0]
                return top[len(case.before) :, 0].numpy()
        text = target if case.side == "target" else source
        read = encode(task.target_dictionary, case.before, text, case.after)
        features, _ = model.decoder.extract_features(read, encoder_out=encoded)
        return features[0, len(case.before) :].numpy()


def finish(session: Session, case: Case, rows: np.ndarray) -> np.ndarray:
    """What stock fairseq does to the rows of the top layer before it hands them out."""
    model = session.models[0]
    part = model.encoder if case.side == "source" else model.decoder
    with torch.no_grad():
        made = torch.from_numpy(np.array(rows))
        for name in ("layer_norm", "project_out_dim", "additional_fc"):
            made = (getattr(part, name, None) or torch.nn.Identity())(made)
        return made.numpy()


@pytest.fixture(scope="module")
def texts(tiny: TinyModels, tmp_path_factory):
    """Thirty sentences of mixed lengths, an empty one and a very short one, in both languages."""
    folder = tmp_path_factory.mktemp("texts")
    made = {}
    for language in ("en", "de"):
        lines = (tiny.corpus / f"probe-test.{language}").read_text().splitlines()[:30]
        lines[7], lines[11] = "", lines[11].split()[0]
        (folder / language).write_text("\n".join(lines) + "\n")
        made[language] = lines
    return folder, made


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.model}-{case.layer}")
def test_rows_do_not_depend_on_the_batch(zoo: Zoo, texts, tmp_path, case: Case) -> None:
    folder, lines = texts
    session = open_model(zoo, case)
    corpus = read_text(session, folder / "en", folder / "de" if case.side == "target" else None)
    assert corpus.side == case.side
    assert corpus.frame.split("*")[0].split() == list(case.before)
    stores = [
        extract(
            session,
            corpus,
            tmp_path / str(max_tokens),
            ExtractionSettings(case.layer, sentence_end=True, max_tokens=max_tokens),
        )
        for max_tokens in (4000, 1, 60)
    ]
    acts = stores[0]
    for other in stores[1:]:
        np.testing.assert_allclose(other.array[:], acts.array[:], atol=1e-5)
    text = lines["de" if case.side == "target" else "en"]
    assert acts.sentences == [[*line.split(), "</s>"] for line in text]
    for number, (source, target) in enumerate(zip(lines["en"], lines["de"], strict=True)):
        rows = acts.array[acts.offsets[number] : acts.offsets[number + 1]]
        expected = by_hand(session, case, source, target)
        np.testing.assert_allclose(finish(session, case, rows), expected, atol=1e-5)
    plain = extract(session, corpus, tmp_path / "plain", ExtractionSettings(case.layer))
    keep = np.ones(len(acts), dtype=bool)
    keep[acts.offsets[1:] - 1] = False
    np.testing.assert_allclose(plain.array[:], acts.array[:][keep], atol=1e-5)


@pytest.mark.parametrize(
    "case",
    [CASES[i] for i in (0, 4, 7, 9, 10, 11, 12, 13)],
    ids=lambda case: f"{case.model}-{case.layer}",
)
def test_split_and_text_are_read_alike(zoo: Zoo, tmp_path, case: Case) -> None:
    session = open_model(zoo, case)
    source, target = zoo.tiny.corpus / "test.en", zoo.tiny.corpus / "test.de"
    settings = ExtractionSettings(case.layer)
    split = extract(session, read_split(session, "test", case.side), tmp_path / "a", settings)
    text = read_text(session, source, target if case.side == "target" else None)
    acts = extract(session, text, tmp_path / "b", settings)
    assert np.array_equal(split.array[:], acts.array[:])
    unknown = split.words().count("<unk>")
    assert 0 < unknown == acts.manifest["unknown_words"] == split.manifest["unknown_symbols"]


@pytest.mark.parametrize("pooling", ["first", "last", "mean"])
def test_subwords_of_the_target_are_pooled(zoo: Zoo, tmp_path, pooling: str) -> None:
    (tmp_path / "en").write_text("the dog sees\nit rains\n")
    (tmp_path / "de").write_text("der Hu@@ nd sieht\nes re@@ gn@@ et\n")
    case = CASES[4]
    words, pieces = (
        extract(
            session,
            read_text(session, tmp_path / "en", tmp_path / "de"),
            tmp_path / name,
            ExtractionSettings(case.layer, pooling=pooling),
        )
        for name, session in (
            ("words", open_model(zoo, case, "--post-process", "subword_nmt")),
            ("pieces", open_model(zoo, case)),
        )
    )
    assert words.sentences == [["der", "Hund", "sieht"], ["es", "regnet"]]
    pool = {"first": lambda r: r[0], "last": lambda r: r[-1], "mean": lambda r: r.mean(axis=0)}
    for row, group in zip(words.array[:], ([0], [1, 2], [3], [4], [5, 6, 7]), strict=True):
        np.testing.assert_allclose(row, pool[pooling](pieces.array[:][group]), atol=1e-6)


def test_language_model_ignores_how_it_was_cut(zoo: Zoo) -> None:
    """Sentence by sentence, whatever --sample-break-mode says; add_bos_token as it was trained."""
    blocks = open_model(zoo, CASES[7], "--sample-break-mode", "none", "--tokens-per-sample", "9")
    corpus = read_split(blocks, "test")
    lines = (zoo.tiny.corpus / "test.en").read_text().splitlines()
    assert [len(words) for words in corpus.symbols.words] == [len(line.split()) for line in lines]
    with_start = replace(blocks, saved_task_cfg=type("Saved", (), {"add_bos_token": True}))
    assert read_split(with_start, "test").frame == "<s> *"


def test_source_batches_are_those_of_the_collater(zoo: Zoo, texts) -> None:
    session = open_model(zoo, CASES[0])
    corpus = read_text(session, texts[0] / "en")
    assert isinstance(corpus.reader, SourceReader)
    dictionary = session.task.source_dictionary
    rows = SymbolRows(corpus.symbols, dictionary.eos())
    dataset = session.task.build_dataset_for_inference(rows, rows.sizes)
    slow = PairReader(dataset, "source", dictionary.pad(), dictionary.eos())
    numbers = [3, 7, 11, 0, 25]
    fast, other = corpus.reader.batch(numbers, True), slow.batch(numbers, True)
    assert sorted(fast.numbers) == sorted(numbers)
    for batch in (fast, other):
        order = np.argsort(batch.numbers)
        assert torch.equal(batch.tokens[order], fast.tokens[np.argsort(fast.numbers)])
        lengths = batch.encoder_input["src_lengths"]
        assert torch.equal(lengths, lengths.sort(descending=True).values)
        assert batch.encoder_input.keys() == {"src_tokens", "src_lengths"}


class Shuffled:
    """A reader that gives the model other words in one of its sentences."""

    def __init__(self, reader, wrong: int) -> None:
        self.reader, self.wrong, self.limited = reader, wrong, reader.limited

    def batch(self, numbers, sentence_end: bool) -> Batch:
        batch = self.reader.batch(numbers, sentence_end)
        for row in np.flatnonzero(batch.numbers == self.wrong):
            batch.tokens[row] = batch.tokens[row].flip(0)
        return batch


def test_words_that_are_not_read_are_an_error(zoo: Zoo, texts, tmp_path) -> None:
    session = open_model(zoo, CASES[4])
    corpus = read_text(session, texts[0] / "en", texts[0] / "de")
    wrong: Corpus = replace(corpus, reader=Shuffled(corpus.reader, 20))
    with pytest.raises(UserError, match="sentence 21: its words cannot be found"):
        extract(session, wrong, tmp_path / "acts", ExtractionSettings("decoder.layers.1"))


BAD = [
    (["--layers", "encoder.layers.0,decoder.layers.0", "--input", "{en}"], "run twice"),
    (["--layers", "decoder.layers.*", "--input", "{en}"], "give --target-input"),
    (["--input", "{en}", "--target-input", "{de}"], "layers of the decoder"),
    (["--gen-subset", "test", "--target-input", "{de}"], "goes with --input"),
    (["--layers", "decoder.layers.*", "--input", "{en}", "--target-input", "{one}"], "30 lines"),
    (["--layers", "decoder.layers.*", "--gen-subset", "nowhere"], "not found"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD)
def test_user_errors(zoo: Zoo, texts, tmp_path, arguments, message) -> None:
    (tmp_path / "one").write_text("ein Satz\n")
    places = {"en": texts[0] / "en", "de": texts[0] / "de", "one": tmp_path / "one"}
    result = call(
        *("fairseq-neuron-extract", zoo.data("pair"), "--path", zoo.checkpoint("transformer")),
        *("--cpu", "--output-dir", tmp_path / "acts"),
        *(argument.format(**places) for argument in arguments),
    )
    assert result.returncode == 2
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "acts").exists()


def test_target_longer_than_the_model_reads(zoo: Zoo, tmp_path) -> None:
    session = open_model(zoo, CASES[4], "--max-target-positions", "6")
    (tmp_path / "en").write_text("a\nb\n")
    (tmp_path / "de").write_text("a\n" + "b " * 5 + "\n")
    corpus = read_text(session, tmp_path / "en", tmp_path / "de")
    extract(session, corpus, tmp_path / "fits", ExtractionSettings("decoder.layers.1"))
    with pytest.raises(UserError, match=r"sentence 2 has 7 symbols.*--max-target-positions"):
        extract(
            session,
            corpus,
            tmp_path / "acts",
            ExtractionSettings("decoder.layers.1", sentence_end=True),
        )


@pytest.mark.parametrize("model", ["lstm_lm", "transformer_lm"])
def test_command_knows_a_language_model(zoo: Zoo, texts, tmp_path, model: str) -> None:
    command = ("fairseq-neuron-extract", zoo.data("text"), "--path", zoo.checkpoint(model), "--cpu")
    listed = call(*command, "--list-layers")
    widths = {"lstm_lm": 48, "transformer_lm": 32}
    assert f"decoder.layers.1\t{widths[model]}\n" in listed.stdout
    made = call(*command, "--input", texts[0] / "en", "--output-dir", tmp_path / "acts")
    assert made.returncode == 0, made.stderr
    assert "decoder.layers.0" in made.stdout
    assert "unknown to the model: " in made.stdout


FLAGS = [
    ("lstm_lm", [], ["--task", "language_modeling"]),
    ("transformer", [], ["--task", "translation"]),
    ("transformer", ["--task", "neuron_translation"], []),
    (
        "multilingual",
        ["--lang-pairs=en-de,de-en"],
        ["--task", "multilingual_translation", "--encoder-langtok=tgt"],
    ),
    (
        "multi_simple_epoch",
        ["--task", "neuron_translation_multi_simple_epoch", "--encoder-langtok", "tgt"],
        [
            *("--lang-pairs=en-de,de-en", "--decoder-langtok"),
            *("--lang-tok-style=multilingual", "--langtoks-specs=main"),
        ],
    ),
]


@pytest.mark.parametrize(("model", "given", "expected"), FLAGS)
def test_task_flags(zoo: Zoo, model: str, given: list[str], expected: list[str]) -> None:
    assert task_flags(zoo.checkpoint(model), given) == expected


MAIN = {"main": (None, "tgt")}
SAVED = [
    ({"lang_dict": "langs.txt"}, ["--langs", "en,de"], []),
    ({"langs": ["en", "de"]}, ["--lang-dict", "langs.txt"], []),
    ({"langtoks": MAIN, "decoder_langtok": True}, [], ["--decoder-langtok"]),
    (
        {"langtoks": {**MAIN, "mined": [None, "x"]}},
        [],
        ["--langtoks={{main}, 'mined': [None, 'x']}"],
    ),
    ({"extra_data": {"mined": "a/b"}}, [], ["--extra-data={'mined': ''}"]),
    ({"langtoks_specs": ["main", "mined"]}, [], ["--langtoks-specs=main,mined"]),
    ({"fixed_dictionary": "{tmp}/dict"}, [], []),
    ({"source_dict": "{tmp}/dict", "target_dict": None}, [], []),
]


@pytest.mark.parametrize(("saved", "given", "expected"), SAVED)
def test_saved_languages_are_kept(tmp_path, saved: dict, given: list, expected: list) -> None:
    (tmp_path / "dict").touch()

    def fill(value):
        return value.replace("{tmp}", str(tmp_path)) if isinstance(value, str) else value

    args = {"task": "translation_multi_simple_epoch", **{k: fill(v) for k, v in saved.items()}}
    torch.save({"model": {}, "args": Namespace(**args), "cfg": None}, tmp_path / "x.pt")
    filled = [fill(part).replace("{main}", "'main': (None, 'tgt')") for part in expected]
    name = ["--task", "translation_multi_simple_epoch"]
    assert task_flags(tmp_path / "x.pt", given) == [*name, *filled]


def test_language_tokens_other_than_in_training_are_refused(zoo: Zoo) -> None:
    with pytest.raises(UserError, match=r"cannot be used: .*--encoder-langtok should be"):
        open_model(zoo, CASES[12], "--encoder-langtok", "src")


def test_the_printed_line_names_the_direction(zoo: Zoo, texts, tmp_path) -> None:
    result = call(
        *("fairseq-neuron-extract", zoo.data("joined"), "--path", zoo.checkpoint("multilingual")),
        *("-s", "en", "-t", "de", "--cpu", "--input", texts[0] / "en"),
        *("--output-dir", tmp_path / "acts"),
    )
    assert result.stdout.splitlines()[0].endswith("encoder.layers.1 (32), en-de")


def test_packed_sentences() -> None:
    sentences = [["a", "ßb"], [], ["c"]]
    packed = PackedSentences()
    for words in sentences:
        packed.append(words)
    ended = packed.ending_with("</s>")
    assert list(packed) == sentences
    assert list(ended) == [[*words, "</s>"] for words in sentences]
    for made in (packed, ended):
        assert b"".join(made.lines()).decode() == "".join(" ".join(s) + "\n" for s in made)


def test_symbols_of_unequal_corpora_differ() -> None:
    one = ([4, 5, 6], ["un@@d", "c"], [0, 2])
    cases = [
        [one],
        [([4, 5, 7], *one[1:])],
        [(one[0], one[1], [0, 1])],
        [([4, 5], ["un@@d"], [0]), ([6], ["c"], [0])],
    ]
    assert len({Symbols(sentences).digest() for sentences in cases}) == len(cases)


def test_blocks_of_a_shard(tmp_path) -> None:
    """Written in blocks, the store has the bytes of one that was written at once."""
    rows = np.random.default_rng(0).normal(size=(7, 3)).astype(np.float32)
    space = NeuronSpace((Layer("encoder.layers.0", 3),))
    sentences = [["a"] * 3, ["b"] * 4]
    write_store(tmp_path / "whole", rows, sentences, space)
    settings = {"model": None, "signature": "source:array"}
    writer = StoreWriter(tmp_path / "blocks", sentences, space, "float32", settings)
    with pytest.raises(ValueError, match="5 rows"):
        writer.write_blocks(0, [rows[:2], rows[2:5]])
    writer.write_blocks(0, [rows[:2], rows[2:5], rows[5:]])
    writer.finish()
    for path in sorted((tmp_path / "whole").iterdir()):
        assert (tmp_path / "blocks" / path.name).read_bytes() == path.read_bytes()
