"""Tokens with labels: joining, cutting, balancing; small in memory."""

from __future__ import annotations

import tracemalloc
from collections import Counter

import numpy as np
import pytest

from fairseq_neuron_plugin.activations import write_store
from fairseq_neuron_plugin.errors import UserError
from fairseq_neuron_plugin.labels import read_labels
from fairseq_neuron_plugin.neurons import Layer, NeuronSpace
from fairseq_neuron_plugin.probing.labelled import (
    Coded,
    LabelledTokens,
    balance,
    drop_rare,
    first_sentences,
    join_labels,
    split_by_sentence,
)
from fairseq_neuron_plugin.rows import View

SPACE = NeuronSpace((Layer("encoder.layers.0", 2),))
SENTENCES = [["the", "dog", "."], [], ["it", "rains", "the", "."], ["."], ["go", "!"]]
LABELS = [["D", "N", "."], [], ["P", "V", "D", "."], ["."], ["V", "."]]


@pytest.fixture
def store(tmp_path):
    rows = np.arange(20, dtype=np.float32).reshape(10, 2)
    return write_store(tmp_path / "acts", rows, SENTENCES, SPACE, rows_per_shard=4)


def toy(tokens: int, labels: int = 4, seed: int = 0) -> LabelledTokens:
    """Labels of very different frequency; the activations are the row numbers."""
    rng = np.random.default_rng(seed)
    share = 2.0 ** -np.arange(labels)
    codes = rng.choice(labels, tokens, p=share / share.sum())
    sentence = np.sort(rng.integers(0, max(1, tokens // 7), tokens))
    return LabelledTokens(
        np.arange(tokens, dtype=np.float64)[:, None],
        [f"w{n}" for n in rng.integers(0, 50, tokens)],
        [f"L{code}" for code in codes],
        sentence,
    )


def rows_of(tokens: LabelledTokens) -> list[int]:
    return np.asarray(tokens.activations)[:, 0].astype(int).tolist()


def check_is_part(part: LabelledTokens, whole: LabelledTokens) -> list[int]:
    """Every column of the part is that of the whole in ascending rows; gives these rows."""
    rows = rows_of(part)
    assert rows == sorted(set(rows))
    assert part.words.tolist() == whole.words[rows].tolist()
    assert part.labels.tolist() == whole.labels[rows].tolist()
    assert part.sentence.tolist() == whole.sentence[rows].tolist()
    assert list(part.label_names) == sorted(set(part.labels.tolist()))
    assert list(part.word_names) == sorted(set(part.words.tolist()))
    assert len(part) == len(rows)
    return rows


@pytest.mark.parametrize(
    "strings",
    [[], ["a"], ["b", "a", "b", "c", "a"], ["ß", "z", "Z", "ä", "z"], ["", "x" * 1000, ""]],
)
def test_codes_are_those_of_numpy(strings):
    coded = Coded.of(strings)
    names, codes = np.unique(np.asarray(strings, dtype=np.str_), return_inverse=True)
    assert list(coded.names) == names.tolist()
    assert coded.codes.tolist() == codes.tolist()
    assert coded.codes.dtype == np.int32
    assert coded.decoded().tolist() == strings
    assert coded.counts().tolist() == [strings.count(name) for name in coded.names]
    odd = np.arange(1, len(strings), 2)
    assert coded.select(odd).names == Coded.of(strings[1::2]).names
    assert coded.select(odd).codes.tolist() == Coded.of(strings[1::2]).codes.tolist()


def test_join(store):
    tokens = join_labels(store, LABELS)
    words = [word for sentence in SENTENCES for word in sentence]
    labels = [label for sentence in LABELS for label in sentence]
    assert len(tokens) == 10
    assert tokens.words.tolist() == words
    assert tokens.labels.tolist() == labels
    assert tokens.words.dtype.kind == tokens.labels.dtype.kind == "U"
    assert tokens.sentence.tolist() == [0, 0, 0, 2, 2, 2, 2, 3, 4, 4]
    assert tokens.sentence.dtype == np.int64
    assert tokens.sentences == 4
    assert tokens.label_names == (".", "D", "N", "P", "V")
    assert [tokens.label_names[code] for code in tokens.label_codes] == labels
    assert [tokens.word_names[code] for code in tokens.word_codes] == words
    assert rows_of(tokens) == list(range(0, 20, 2))


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (LABELS[:-1], "labels for 4 sentences; the activation store .* has 5"),
        ([*LABELS, []], "labels for 6 sentences; the activation store .* has 5"),
        # As many in all, but not in each sentence.
        ([["D", "N"], ["."], *LABELS[2:]], "sentence 1: 2 labels for 3 words"),
        ([*LABELS[:4], ["V"]], "sentence 5: 1 labels for 2 words"),
    ],
)
def test_labels_that_do_not_fit(store, labels, message):
    with pytest.raises(UserError, match=message):
        join_labels(store, labels)


def test_parts_of_other_lengths():
    X = np.zeros((3, 2))
    for words, labels, sentence in [
        (["a", "b"], ["A", "B", "C"], [0, 0, 0]),
        (["a", "b", "c"], ["A", "B"], [0, 0, 0]),
        (["a", "b", "c"], ["A", "B", "C"], [0, 0]),
    ]:
        with pytest.raises(ValueError, match="3 rows of activations, "):
            LabelledTokens(X, words, labels, np.asarray(sentence))


def test_select_of_a_selection_reads_the_store_itself(store):
    tokens = join_labels(store, LABELS)
    part = tokens.select(np.asarray([0, 2, 3, 6, 9]))
    again = part.select(np.asarray([1, 2, 4]))
    assert again.labels.tolist() == [".", "P", "."]
    assert again.words.tolist() == [".", "it", "!"]
    assert again.label_names == (".", "P")
    assert again.word_names == ("!", ".", "it")
    assert again.sentence.tolist() == [0, 2, 4]
    assert isinstance(again.activations, View)
    assert again.activations.array is store.array
    assert again.activations[:].tolist() == store.array[np.asarray([2, 3, 9])].tolist()
    none = again.select(np.asarray([], dtype=np.intp))
    assert (len(none), none.sentences, none.label_names) == (0, 0, ())
    assert none.labels.tolist() == none.words.tolist() == []


def test_selection_of_chosen_columns():
    X = np.arange(12.0).reshape(4, 3)
    columns = View(X, rows=np.asarray([0, 1, 3]), columns=np.asarray([2, 0]))
    tokens = LabelledTokens(columns, list("abc"), list("ABC"), np.arange(3))
    assert tokens.select(np.asarray([1, 2])).activations[:].tolist() == [[5, 3], [11, 9]]


@pytest.mark.parametrize("share", [0.01, 0.2, 0.5, 0.99])
def test_split_keeps_sentences_together(share):
    tokens = toy(300)
    train, test = split_by_sentence(tokens, share, seed=3)
    rows = check_is_part(train, tokens) + check_is_part(test, tokens)
    assert sorted(rows) == list(range(300))
    assert not set(train.sentence.tolist()) & set(test.sentence.tolist())
    expected = min(max(1, round(share * tokens.sentences)), tokens.sentences - 1)
    assert test.sentences == expected
    again = split_by_sentence(tokens, share, seed=3)
    assert [rows_of(part) for part in again] == [rows_of(train), rows_of(test)]
    if share == 0.5:
        assert rows_of(split_by_sentence(tokens, share, seed=4)[1]) != rows_of(test)


@pytest.mark.parametrize("share", [0, 1, -0.1, 20, float("nan")])
def test_split_by_a_share_that_is_none(share):
    with pytest.raises(UserError, match="the share to test on must be between 0 and 1"):
        split_by_sentence(toy(50), share)


def test_one_sentence_cannot_be_split():
    with pytest.raises(UserError, match="one sentence cannot be split"):
        split_by_sentence(first_sentences(toy(50), 1))


def test_first_sentences(store):
    tokens = join_labels(store, LABELS)
    assert first_sentences(tokens, 1).sentence.tolist() == [0, 0, 0]
    # The second sentence is empty and does not count.
    assert first_sentences(tokens, 2).sentence.tolist() == [0, 0, 0, 2, 2, 2, 2]
    assert first_sentences(tokens, 4).labels.tolist() == tokens.labels.tolist()
    whole = toy(200)
    for count in range(1, whole.sentences + 1):
        part = first_sentences(whole, count)
        rows = check_is_part(part, whole)
        assert part.sentences == count
        assert rows == list(range(len(rows)))
    _, test = split_by_sentence(whole, 0.5)
    assert first_sentences(test, 3).sentence.tolist() == [
        number for number in test.sentence if number in sorted(set(test.sentence))[:3]
    ]


@pytest.mark.parametrize(
    ("count", "message"),
    [
        (5, "5 sentences are wanted, but there are only 4"),
        (0, "must be at least 1, not 0"),
        (-3, "must be at least 1, not -3"),
    ],
)
def test_a_number_of_sentences_that_cannot_be(store, count, message):
    with pytest.raises(UserError, match=message):
        first_sentences(join_labels(store, LABELS), count)


def test_drop_rare(store):
    tokens = join_labels(store, LABELS)
    left, rare = drop_rare(tokens, 2)
    assert rare == {"N": 1, "P": 1}
    assert left.labels.tolist() == ["D", ".", "V", "D", ".", ".", "V", "."]
    assert left.label_names == (".", "D", "V")
    assert drop_rare(tokens, 1) == (tokens, {})
    nothing, rare = drop_rare(tokens, 5)
    assert (len(nothing), sum(rare.values())) == (0, 10)
    whole = toy(300)
    left, rare = drop_rare(whole, 50)
    counts = Counter(whole.labels.tolist())
    assert rare == {label: n for label, n in sorted(counts.items()) if n < 50}
    assert rare
    rows = check_is_part(left, whole)
    assert rows == [n for n, label in enumerate(whole.labels) if counts[label] >= 50]


@pytest.mark.parametrize("per_label", [None, 1, 5, 40, 1000])
def test_balance_takes_so_many_of_each_label(per_label):
    whole = toy(300)
    counts = Counter(whole.labels.tolist())
    most = min(counts.values()) if per_label is None else per_label
    part = balance(whole, per_label, seed=1)
    check_is_part(part, whole)
    expected = {label: min(count, most) for label, count in counts.items()}
    assert Counter(part.labels.tolist()) == expected
    assert rows_of(balance(whole, per_label, seed=1)) == rows_of(part)
    if per_label != 1000:
        assert rows_of(balance(whole, per_label, seed=2)) != rows_of(part)


def test_a_larger_sample_holds_the_smaller_one():
    whole = toy(300)
    samples = [set(rows_of(balance(whole, n, seed=5))) for n in (1, 3, 20, 80)]
    assert samples[0] < samples[1] < samples[2] < samples[3]


def test_each_token_of_a_label_is_as_likely():
    tokens = LabelledTokens(
        np.arange(12.0)[:, None], ["w"] * 12, list("aaaaaaaabbbb"), np.arange(12)
    )
    times = np.zeros(12)
    for seed in range(2000):
        times[rows_of(balance(tokens, 2, seed))] += 1
    # 5 standard deviations of a binomial count
    for label, share in ((slice(0, 8), 2 / 8), (slice(8, 12), 2 / 4)):
        spread = 5 * np.sqrt(2000 * share * (1 - share))
        assert (np.abs(times[label] - 2000 * share) < spread).all()


@pytest.mark.parametrize("per_label", [0, -1])
def test_balance_needs_a_number(per_label):
    with pytest.raises(UserError, match=f"must be at least 1, not {per_label}"):
        balance(toy(50), per_label)


def test_negative_seed():
    for sample in (lambda: balance(toy(50), 1, -1), lambda: split_by_sentence(toy(50), 0.2, -1)):
        with pytest.raises(UserError, match="the seed must be at least 0, not -1"):
            sample()


def test_nothing_is_balanced_into_nothing():
    nothing = toy(50).select(np.asarray([], dtype=np.intp))
    assert len(balance(nothing)) == len(balance(nothing, 3)) == 0


def test_a_vocabulary_with_names_that_do_not_occur():
    labels = Coded(np.asarray([0, 2, 2, 0], dtype=np.int32), ("a", "b", "c"))
    tokens = LabelledTokens(np.arange(4.0)[:, None], list("wxyz"), labels, np.arange(4))
    assert len(balance(tokens)) == 4
    assert drop_rare(tokens, 2)[0].label_names == ("a", "c")


def test_a_word_of_a_store_is_in_memory_once(store):
    assert store.sentences == SENTENCES
    found = [word for words in store.sentences for word in words]
    assert len({id(word) for word in found}) == len(set(found)) < len(found)


def test_small_in_memory(tmp_path):
    """One word of 1,000 letters must not make every other as large."""
    count, length = 10_000, 10
    rng = np.random.default_rng(0)
    sentences = [[f"word{n}" for n in row] for row in rng.integers(0, 2000, (count, length))]
    sentences[7][3] = "x" * 1000
    rows = np.zeros((count * length, 2), dtype=np.float16)
    store = write_store(tmp_path / "acts", rows, sentences, SPACE)
    path = tmp_path / "tags"
    path.write_text("".join(" ".join(f"label{len(w)}" for w in s) + "\n" for s in sentences))
    del sentences, rows

    tracemalloc.start()
    try:
        store.sentences  # noqa: B018  (read now: they belong to the store)
        before, _ = tracemalloc.get_traced_memory()
        labels = read_labels(path, store.sentences)
        with_labels, _ = tracemalloc.get_traced_memory()
        tokens = join_labels(store, labels)
        after, peak = tracemalloc.get_traced_memory()
        train, test = split_by_sentence(tokens)
        del labels, tokens
        end, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    each = count * length
    assert len(train) + len(test) == each
    assert (with_labels - before) / each < 25  # lists of shared strings; dropped after the join
    assert (after - with_labels) / each < 20
    assert (peak - with_labels) / each < 40
    assert (end - before) / each < 30  # with the row numbers of both parts
