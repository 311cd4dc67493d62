"""Properties: what words show by themselves."""

from __future__ import annotations

import gzip
import unicodedata

import pytest

from fairseq_neuron_plugin.errors import UserError
from fairseq_neuron_plugin.labels import (
    PROPERTIES,
    position_labels,
    property_labels,
    register_property,
)


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
    assert property_labels("position", [["a", "b"]]) == [["first", "last"]]


MONTHS = """
    January February March April May June July August September October November December
    JANUARY MAY MARCH january june december
    Jan. Jan Feb. Mar. Mar Apr. Jun Jul. Aug. Sep. Sept. Sept Oct. Nov Dec. DEC
    Januar Jänner Februar Feber März Mai Juni Juli Oktober Dezember MÄRZ märz januar
    Jän. Mär. Mrz. Okt. Dez. Dez
    janvier février mars avril mai juin juillet août aout septembre octobre novembre décembre
    Janvier Février Avril Août DÉCEMBRE DECEMBRE AOUT FEVR.
    janv. janv févr. fév. avr. juil. juill. sept. oct. nov. déc. déc Déc.
"""
NO_MONTHS = """
    may march august mar mar. jan dec dec. sept Mars MARS Mars. May. Maybe Marches May's
    Mai-Feier Maifeier jAnuary JANuary marz MARZ decembre Monday Montag lundi year _ . <unk> 5
"""


@pytest.mark.parametrize(("words", "label"), [(MONTHS.split(), "month"), (NO_MONTHS.split(), "_")])
def test_months(words, label):
    found = property_labels("months", [words])[0]
    assert [word for word, given in zip(words, found, strict=True) if given != label] == []


@pytest.mark.parametrize(
    ("text", "months"),
    [
        ("On 3 May 1998 he may march in March .", ["May", "March"]),
        ("Am 3. März und im Mai , nicht im märz-mai", ["März", "Mai"]),
        ("Le 3 mars , en sept. et le sept août", ["mars", "sept.", "août"]),
        ("it is june and he is august", ["june"]),
    ],
)
def test_months_in_a_sentence(text, months):
    words = text.split()
    labels = property_labels("months", [[], words])[1]
    assert [word for word, label in zip(words, labels, strict=True) if label == "month"] == months


def test_months_in_decomposed_letters():
    words = [unicodedata.normalize("NFD", word) for word in ("août", "März", "Février", "maï")]
    assert property_labels("months", [words]) == [["month", "month", "month", "_"]]


@pytest.mark.parametrize(
    ("pattern", "matching"),
    [
        (r"\d+", ["1998"]),
        (r"[A-Z].*", ["Tom", "Is"]),
        ("is", ["is"]),  # the whole word, not a part of "this"
        ("(?i)is", ["is", "Is"]),
        ("i|is", ["is"]),
        (r"\d+|x:y", ["1998", "x:y"]),  # only the first colon ends the name
        (r".*\n?", ["Tom", "is", "this", "1998", "Is", "x:y"]),
    ],
)
def test_regex_matches_whole_words(pattern, matching):
    words = ["Tom", "is", "this", "1998", "Is", "x:y"]
    labels = property_labels(f"regex:{pattern}", [words, words[:2]])
    assert labels[0] == ["match" if word in matching else "_" for word in words]
    assert labels[1] == labels[0][:2]


@pytest.mark.parametrize("pattern", ["(", "[a", "*a", "(?P<1>a)", "a{99999999999999999999}"])
def test_no_regular_expression(pattern):
    with pytest.raises(UserError) as error:
        property_labels(f"regex:{pattern}", [["a"]])
    assert str(error.value).startswith(f"{pattern!r} is no regular expression: ")
    assert "\n" not in str(error.value)


def write(tmp_path, text, name="words.txt"):
    path = tmp_path / name
    data = text.encode("utf-8")
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return path


WORDS = [["Tom", "saw", "Rome", "."], ["rome", "Tom"]]
LISTED = [["in", "_", "in", "_"], ["_", "in"]]
LABELLED = [["PER", "_", "LOC", "_"], ["_", "PER"]]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Tom\nRome\n", LISTED),
        ("Rome\nTom\nTom", LISTED),
        ("\ufeffTom\r\n\r\n  Rome \r\n", LISTED),
        ("Tom\tPER\nRome\tLOC\n", LABELLED),
        ("Tom\tPER \n\nRome\tLOC\nTom\tPER\nParis\tLOC\n", LABELLED),
        ("\ufeffTom\tPER\r\nRome\tLOC\r\n", LABELLED),
        ("saw\tin sight\n", [["_", "in sight", "_", "_"], ["_", "_"]]),
    ],
)
@pytest.mark.parametrize("name", ["words.txt", "words.tsv.gz"])
def test_lexicon(tmp_path, text, expected, name):
    path = write(tmp_path, text, name)
    assert property_labels(f"lexicon:{path}", WORDS) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Tom\tPER\nRome\tLOC\nTom\tLOC\n", "line 3: 'Tom' is 'LOC' here and 'PER' in line 1"),
        ("Tom\tPER\nRome\n", "line 2: give all words a label or none"),
        ("Tom\nRome\tLOC\n", "line 2: give all words a label or none"),
        ("Tom\tPER\tx\n", r"line 1: expected a word or word<TAB>label, found 'Tom\\tPER\\tx'"),
        ("Rome\n\nTom\t\n", r"line 3: expected a word or word<TAB>label, found 'Tom\\t'"),
        ("\tPER\n", "line 1: expected a word or word<TAB>label"),
        ("Tom\nNew York\n", "line 2: 'New York' holds a space"),
        ("", "holds no word"),
        ("\n \n", "holds no word"),
    ],
)
def test_bad_lexicon(tmp_path, text, message):
    path = write(tmp_path, text)
    with pytest.raises(UserError, match=message) as error:
        property_labels(f"lexicon:{path}", WORDS)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_unreadable_lexicon(tmp_path):
    with pytest.raises(UserError, match="lexicon not found"):
        property_labels(f"lexicon:{tmp_path / 'none'}", WORDS)
    with pytest.raises(UserError, match="cannot read lexicon"):
        property_labels(f"lexicon:{tmp_path}", WORDS)
    latin = tmp_path / "latin"
    latin.write_bytes("Tom\nMünchen\n".encode("latin-1"))
    with pytest.raises(UserError, match=r"lexicon .*, line 2, is not UTF-8"):
        property_labels(f"lexicon:{latin}", WORDS)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "length",
            "unknown property 'length'; there are: position, months, regex:PATTERN, lexicon:FILE",
        ),
        ("", "unknown property ''"),
        ("regex", "the property regex needs an argument: regex:PATTERN"),
        ("regex:", "the property regex needs an argument: regex:PATTERN"),
        ("lexicon:", "the property lexicon needs an argument: lexicon:FILE"),
        ("months:de", "the property months takes no argument, but got 'de'"),
        ("position:", "the property position takes no argument"),
    ],
)
def test_bad_names(name, message):
    with pytest.raises(UserError) as error:
        property_labels(name, WORDS)
    assert str(error.value).startswith(message)


@pytest.fixture
def registry():
    before = dict(PROPERTIES)
    yield PROPERTIES
    PROPERTIES.clear()
    PROPERTIES.update(before)


def test_users_register_their_own(registry):
    def length(sentences):
        return [["long" if len(word) > 3 else "short" for word in words] for words in sentences]

    def begins(sentences, letter):
        return [[str(word.startswith(letter)) for word in words] for words in sentences]

    register_property("length", length)
    register_property("begins:LETTER", begins)
    assert property_labels("length", WORDS)[0] == ["short", "short", "long", "short"]
    assert property_labels("begins:R", WORDS)[0] == ["False", "False", "True", "False"]
    with pytest.raises(UserError, match="lexicon:FILE, length, begins:LETTER"):
        property_labels("size", WORDS)
    for taken in ("length", "begins", "length:N", "position"):
        with pytest.raises(ValueError, match="already"):
            register_property(taken, length)
    with pytest.raises(ValueError, match="needs a name"):
        register_property(":N", length)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([["a"] * 4, ["a"]], "the property own gives 1 labels for the 2 words of sentence 2"),
        ([["a"] * 4], "the property own labels 1 sentences; there are 2"),
    ],
)
def test_a_property_must_label_every_word(registry, labels, message):
    register_property("own", lambda sentences: labels)
    with pytest.raises(UserError, match=message):
        property_labels("own", WORDS)
