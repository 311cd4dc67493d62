from __future__ import annotations

import gzip

import pytest

from fairseq_neuron_plugin.errors import UserError
from fairseq_neuron_plugin.labels import read_labels
from fairseq_neuron_plugin.packed_sentences import PackedSentences

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


UPOS = [["PROPN", "VERB", "PUNCT"], ["AUX", "PART", "PUNCT"]]
TSV = "Tom\tPER\nruns\tEXS\n.\tNIL\n\nDo\tNOW\nn't\tNOT\n!\tNIL\n"
TAGS = "PER EXS NIL\nNOW NOT NIL\n"
SEM = [["PER", "EXS", "NIL"], ["NOW", "NOT", "NIL"]]


@pytest.mark.parametrize("gz", ["", ".gz"])
@pytest.mark.parametrize(
    "change",
    [
        lambda text: text,
        lambda text: text.replace("\n", "\r\n"),
        lambda text: "\ufeff" + text,
        lambda text: "\ufeff" + text.replace("\n", "\r\n"),
        lambda text: text.removesuffix("\n"),
    ],
    ids=["plain", "CRLF", "BOM", "BOM and CRLF", "no end of line"],
)
@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [("tags", TAGS, SEM), ("a.tsv", TSV, SEM), ("a.conllu", CONLLU, UPOS)],
)
def test_every_format_however_it_was_saved(tmp_path, name, text, expected, change, gz):
    path = tmp_path / (name + gz)
    data = change(text).encode("utf-8")
    path.write_bytes(gzip.compress(data) if gz else data)
    assert read_labels(path, CONLLU_WORDS) == expected


def test_carriage_returns_inside_conllu_do_not_get_into_labels(tmp_path):
    path = tmp_path / "a.conllu"
    path.write_bytes(CONLLU.replace("\n", "\r\n").encode("utf-8"))
    assert read_labels(path, CONLLU_WORDS, "misc") == [["_"] * 3, ["_"] * 3]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["20", "000", "Leute"], ["NUM", "NUM", "NOUN"]),  # as translated text has it
        (["<unk>", "000", "Leute"], ["NUM", "NUM", "NOUN"]),
        (["20 000", "Leute"], ["NUM", "NOUN"]),
        (["<unk>", "Leute"], ["NUM", "NOUN"]),
    ],
)
@pytest.mark.parametrize("space", [" ", "\N{NO-BREAK SPACE}"])
@pytest.mark.parametrize("name", ["a.conllu", "a.tsv"])
def test_words_with_spaces_inside_stand_for_several(tmp_path, name, space, words, expected):
    rows = [("20 000", "NUM"), ("Leute", "NOUN")]
    rows = [(form.replace(" ", space), tag) for form, tag in rows]
    words = [word.replace(" ", space) for word in words]
    if name == "a.tsv":
        text = "".join(f"{form}\t{tag}\n" for form, tag in rows)
    else:
        text = "".join(
            f"{n}\t{form}\t_\t{tag}" + "\t_" * 6 + "\n"
            for n, (form, tag) in enumerate(rows, start=1)
        )
    assert read_labels(write(tmp_path, name, text), [words]) == [expected]


def test_a_difference_beside_a_word_with_spaces_is_named(tmp_path):
    path = write(tmp_path, "a.tsv", "20 000\tNUM\nLeute\tNOUN\n")
    with pytest.raises(UserError, match=r"word 3: the labels are for 'Leute', .* has 'Menschen'"):
        read_labels(path, [["20", "000", "Menschen"]])
    with pytest.raises(UserError, match=r"3 labels for 4 words; .* file: '20 000 Leute'"):
        read_labels(path, [["20", "000", "Leute", "."]])


@pytest.mark.parametrize("column", ["UPOS", "Upos", "4"])
def test_columns_by_the_guidelines_names(tmp_path, column):
    assert read_labels(write(tmp_path, "a.conllu", CONLLU), CONLLU_WORDS, column) == UPOS


def test_layered_features(tmp_path):
    row = "1\thaza\tház\tNOUN\t_\tCase=Nom|Number=Sing|Number[psor]=Plur\t0\troot\t_\t_\n"
    path = write(tmp_path, "a.conllu", row)
    assert read_labels(path, [["haza"]], "feats:Number") == [["Sing"]]
    assert read_labels(path, [["haza"]], "feats:Number[psor]") == [["Plur"]]


def test_conllu_line_without_a_word_number(tmp_path):
    path = write(tmp_path, "a.conllu", "# text = Tom\nTom\t1" + "\t_" * 8 + "\n")
    with pytest.raises(UserError, match=r"a\.conllu, line 2: 'Tom' is no CoNLL-U word number"):
        read_labels(path, [["Tom"]])


@pytest.mark.parametrize("name", ["A.TSV", "a.Tsv.gz"])
def test_the_ending_decides_in_upper_case_too(tmp_path, name):
    assert read_labels(write(tmp_path, name, TSV), CONLLU_WORDS) == SEM


@pytest.mark.parametrize("name", ["tags", "tags.gz"])
def test_not_utf8(tmp_path, name):
    path = tmp_path / name
    data = "PER EXS NIL\nN\u00c4H NIL\n".encode("latin-1")
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    with pytest.raises(UserError, match=r"label file .*, line 2, is not UTF-8"):
        read_labels(path, SENTENCES)


def test_packed_sentences_do(tmp_path):
    packed = PackedSentences()
    for words in SENTENCES:
        packed.append(words)
    path = write(tmp_path, "tags", "PER EXS NIL\nNOT NIL\n")
    assert read_labels(path, packed) == [["PER", "EXS", "NIL"], ["NOT", "NIL"]]


def test_a_label_is_in_memory_once(tmp_path):
    path = write(tmp_path, "tags", "LONG-LABEL LONG-LABEL\n" * 50)
    labels = read_labels(path, [["a", "b"]] * 50)
    assert len({id(label) for sentence in labels for label in sentence}) == 1
