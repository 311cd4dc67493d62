from __future__ import annotations

import gzip

import pytest

from fairseq_neuron_plugin.errors import UserError
from fairseq_neuron_plugin.labels import position_labels, property_labels, read_labels

SENTENCES = [["Tom", "runs", "."], ["Don't", "!"]]
CONLLU = """\
# sent_id = 1
1\tTom\tTom\tPROPN\tNNP\tNumber=Sing\t2\tnsubj\t_\t_
2\truns\trun\tVERB\tVBZ\tMood=Ind|Number=Sing|Tense=Pres\t0\troot\t_\t_
2.1\tghost\tghost\tVERB\t_\t_\t_\t_\t_\t_
3\t.\t.\tPUNCT\t.\t_\t2\tpunct\t_\t_

# sent_id = 2
1-2\tDon't\t_\t_\t_\t_\t_\t_\t_\t_
1\tDo\tdo\tAUX\tVBP\tTense=Pres\t0\troot\t_\t_
2\tn't\tnot\tPART\tRB\t_\t1\tadvmod\t_\t_
3\t!\t!\tPUNCT\t.\t_\t1\tpunct\t_\t_
"""
CONLLU_WORDS = [["Tom", "runs", "."], ["Do", "n't", "!"]]


def write(tmp_path, name, text):
    path = tmp_path / name
    if name.endswith(".gz"):
        path.write_bytes(gzip.compress(text.encode("utf-8")))
    else:
        path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("name", ["train.pos", "train.pos.gz", "tags.txt"])
def test_tag_lines(tmp_path, name):
    path = write(tmp_path, name, "PER EXS NIL\nNOT  NIL\n")
    assert read_labels(path, SENTENCES) == [["PER", "EXS", "NIL"], ["NOT", "NIL"]]


def test_tag_lines_with_one_word_too_many_name_sentence_and_words(tmp_path):
    path = write(tmp_path, "tags", "PER EXS NIL\nNOT NIL NIL\n")
    with pytest.raises(UserError) as error:
        read_labels(path, SENTENCES)
    assert str(error.value) == (
        f'{path}, sentence 2: 3 labels for 2 words; the activation store: "Don\'t !"'
    )


def test_other_number_of_sentences(tmp_path):
    path = write(tmp_path, "tags", "PER EXS NIL\n")
    with pytest.raises(UserError, match="has 1 sentences, the activation store 2"):
        read_labels(path, SENTENCES)
    path = write(tmp_path, "tags.tsv", "Tom\tA\nruns\tB\n.\tC\n\nDon't\tA\n!\tB\n\nmore\tA\n")
    with pytest.raises(UserError, match="has 3 sentences, the activation store 2"):
        read_labels(path, SENTENCES)


@pytest.mark.parametrize("name", ["a.tsv", "a.tsv.gz"])
def test_tsv(tmp_path, name):
    text = "Tom\tPER\nruns\tEXS\n.\tNIL\n\n\nDon't\tNOT\r\n!\tNIL\n"
    expected = [["PER", "EXS", "NIL"], ["NOT", "NIL"]]
    assert read_labels(write(tmp_path, name, text), SENTENCES) == expected


def test_tsv_words_may_be_unknown_to_the_store_or_joined(tmp_path):
    path = write(tmp_path, "a.tsv", "New~York\tGPO\nCelestial\tORG\n")
    assert read_labels(path, [["New~York", "<unk>"]]) == [["GPO", "ORG"]]


def test_first_word_that_differs_is_named(tmp_path):
    path = write(tmp_path, "a.tsv", "Tom\tPER\nruns\tEXS\n.\tNIL\n\nDont\tNOT\n?\tNIL\n")
    with pytest.raises(UserError) as error:
        read_labels(path, SENTENCES)
    assert str(error.value) == (
        f"{path}, sentence 2, word 1: the labels are for 'Dont', the activation store has \"Don't\""
    )


def test_tsv_sentence_with_a_word_more(tmp_path):
    path = write(tmp_path, "a.tsv", "Tom\tPER\nruns\tEXS\n.\tNIL\n.\tNIL\n\nDon't\tNOT\n!\tNIL\n")
    with pytest.raises(UserError, match=r"sentence 1: 4 labels for 3 words; .*'Tom runs \. \.'"):
        read_labels(path, SENTENCES)


def test_tsv_line_without_a_tab(tmp_path):
    path = write(tmp_path, "a.tsv", "Tom PER\n")
    with pytest.raises(UserError, match="line 1: expected word<TAB>label, found 'Tom PER'"):
        read_labels(path, [["Tom"]])


def test_empty_sentences_of_the_store_need_no_lines(tmp_path):
    path = write(tmp_path, "a.tsv", "Tom\tPER\n\n!\tNIL\n")
    assert read_labels(path, [["Tom"], [], ["!"]]) == [["PER"], [], ["NIL"]]
    path = write(tmp_path, "tags", "PER\n\nNIL\n")
    assert read_labels(path, [["Tom"], [], ["!"]]) == [["PER"], [], ["NIL"]]


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        ("upos", [["PROPN", "VERB", "PUNCT"], ["AUX", "PART", "PUNCT"]]),
        ("xpos", [["NNP", "VBZ", "."], ["VBP", "RB", "."]]),
        ("5", [["NNP", "VBZ", "."], ["VBP", "RB", "."]]),
        ("lemma", [["Tom", "run", "."], ["do", "not", "!"]]),
        ("deprel", [["nsubj", "root", "punct"], ["root", "advmod", "punct"]]),
        (
            "feats",
            [["Number=Sing", "Mood=Ind|Number=Sing|Tense=Pres", "_"], ["Tense=Pres", "_", "_"]],
        ),
        ("feats:Number", [["Sing", "Sing", "_"], ["_", "_", "_"]]),
        ("feats:Tense", [["_", "Pres", "_"], ["Pres", "_", "_"]]),
    ],
)
def test_conllu_columns(tmp_path, column, expected):
    path = write(tmp_path, "a.conllu.gz", CONLLU)
    assert read_labels(path, CONLLU_WORDS, column) == expected


@pytest.mark.parametrize("column", ["pos", "0", "11", "feats:", "xpos:Number"])
def test_unknown_conllu_column(tmp_path, column):
    with pytest.raises(UserError, match="column"):
        read_labels(write(tmp_path, "a.conllu", CONLLU), CONLLU_WORDS, column)


def test_conllu_with_missing_columns(tmp_path):
    path = write(tmp_path, "a.conllu", "1\tTom\tTom\n")
    with pytest.raises(UserError, match="line 1: 3 columns, CoNLL-U has 10"):
        read_labels(path, [["Tom"]])


def test_format_may_be_given(tmp_path):
    path = write(tmp_path, "labels.txt", "Tom\tPER\n")
    assert read_labels(path, [["Tom"]], format="tsv") == [["PER"]]
    with pytest.raises(UserError, match="unknown label format"):
        read_labels(path, [["Tom"]], format="xml")


def test_unreadable_files(tmp_path):
    for name in ("none", "none.gz"):
        with pytest.raises(UserError, match="label file not found"):
            read_labels(tmp_path / name, SENTENCES)
    broken = tmp_path / "broken.tsv.gz"
    broken.write_bytes(gzip.compress(b"Tom\tPER\n" * 1000)[:40])
    with pytest.raises(UserError, match="cannot read label file"):
        read_labels(broken, SENTENCES)


def test_position_is_the_third_of_the_sentence():
    def of(length):
        return "".join(label[0] for label in position_labels([["w"] * length])[0])

    assert [of(n) for n in range(8)] == [
        "",
        "m",
        "fl",
        "fml",
        "fmml",
        "ffmll",
        "ffmmll",
        "ffmmmll",
    ]


def test_properties():
    assert property_labels("position", [["a", "b"]]) == [["first", "last"]]
    with pytest.raises(UserError, match="unknown property 'length'; there are: position"):
        property_labels("length", [["a"]])
