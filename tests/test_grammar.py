"""Tests of the synchronous grammar: pinned sentences, rules over its output, files."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from fairseq_neuron_plugin.grammar import Pair, Token, generate, lexicon, times, write_corpus
from fairseq_neuron_plugin.grammar import clause as c
from fairseq_neuron_plugin.grammar import closed_class as closed
from fairseq_neuron_plugin.grammar.__main__ import main
from fairseq_neuron_plugin.grammar.generator import realise
from fairseq_neuron_plugin.grammar.sample_clauses import subordinator
from fairseq_neuron_plugin.grammar.tags import FEATURE_ORDER, SEM_TAGS, UPOS, make
from fairseq_neuron_plugin.grammar.words import Adjective, Preposition, Verb, german_verb

SMALL = {"valid": 20, "test": 20, "annotated_train": 40, "annotated_test": 20}
MONTHS = {english for english, _ in closed.MONTHS}


@pytest.fixture(scope="module")
def pairs() -> list[Pair]:
    return list(itertools.islice(generate(11), 8000))


def text(tokens: tuple[Token, ...]) -> str:
    return " ".join(token.form for token in tokens)


# Pinned realisations.


def np(words: str, number: str = "Sing", **more: object) -> c.NounPhrase:
    """Build a noun phrase from "determiner adjective* noun"; "-" is no determiner."""
    determiner, *adjectives, noun = words.split()
    return c.NounPhrase(
        next(n for n in lexicon.NOUNS if n.singular == noun),
        number,
        closed.DETERMINERS.get(determiner),
        adjectives=tuple(adjective(word) for word in adjectives),
        **more,  # type: ignore[arg-type]
    )


def adjective(word: str) -> Adjective:
    return next(a for a in lexicon.ADJECTIVES if a.english == word)


def verb(base: str, frame: str) -> Verb:
    return next(v for v in lexicon.VERBS if (v.english.base, v.frame) == (base, frame))


def preposition(german: str) -> Preposition:
    return next(p for p in closed.PREPOSITIONS if p.german == german)


def at(german: str, phrase: c.Phrase) -> tuple[c.PrepPhrase, ...]:
    return (c.PrepPhrase(preposition(german), phrase),)


def i(name: str) -> c.PronounPhrase:
    return c.PronounPhrase(closed.PRONOUNS[name])


def name(word: str) -> c.NamePhrase:
    return c.NamePhrase(next(n for n in closed.NAMES if n.english == word))


MARCH, MAY = closed.MONTHS[2], closed.MONTHS[4]
SEE, SLEEP, GIVE = verb("see", "trans"), verb("sleep", "intr"), verb("give", "ditrans")
CALL, HELP, WALK = verb("call", "trans"), verb("help", "trans"), verb("walk", "intr")
READ, OPEN = verb("read", "trans"), verb("open", "trans")
DOG_SLEEPS = c.Clause(np("the dog"), SLEEP)
RAINS = c.Clause(i("it"), verb("rain", "weather"))
THREE = ("three", "drei")
WHO = c.RelativePronoun(np("the man").noun, "Sing")

PINNED = [
    # agreement and verb forms
    (DOG_SLEEPS, "The dog sleeps .", "Der Hund schläft ."),
    (c.Clause(np("the dog", "Plur"), SLEEP), "The dogs sleep .", "Die Hunde schlafen ."),
    (c.Clause(i("you"), READ, "past", object=np("a book")),
     "You read a book .", "Du lasest ein Buch ."),
    (c.Clause(i("I"), verb("know", "clause"), complement=c.Adverbial(subordinator("dass"), RAINS)),
     "I know that it rains .", "Ich weiß , dass es regnet ."),
    (c.Clause(np("- man", "Plur", numeral=THREE), WALK, "perfect",
              places=at("zu", np("the school"))),
     "Three men have walked to the school .", "Drei Männer sind zur Schule gelaufen ."),
    # case and declension
    (c.Clause(i("she"), SEE, object=np("the old dog")),
     "She sees the old dog .", "Sie sieht den alten Hund ."),
    (c.Clause(i("he"), SEE, object=np("a young student")),
     "He sees a young student .", "Er sieht einen jungen Studenten ."),
    (c.Clause(name("Anna"), GIVE, "past", object=np("my new book"),
              recipient=np("the child", "Plur")),
     "Anna gave the children my new book .", "Anna gab den Kindern mein neues Buch ."),
    (c.Clause(name("Anna"), GIVE, object=np("- milk"), recipient=i("she"), recipient_after=True),
     "Anna gives milk to her .", "Anna gibt ihr Milch ."),
    (c.Clause(i("they"), HELP, object=np("this tired woman")),
     "They help this tired woman .", "Sie helfen dieser müden Frau ."),
    (c.Clause(np("- old dog", "Plur", numeral=THREE), SLEEP, places=at("in", np("the garden"))),
     "Three old dogs sleep in the garden .", "Drei alte Hunde schlafen im Garten ."),
    (c.Clause(np("- cold milk"), lexicon.BE, predicate=(adjective("good"),), intensified=True),
     "Cold milk is very good .", "Kalte Milch ist sehr gut ."),
    (c.Clause(np("the watch", of=np("the teacher")), lexicon.BE, "past",
              predicate=(adjective("old"),)),
     "The watch of the teacher was old .", "Die Uhr des Lehrers war alt ."),
    (c.Clause(i("we"), SEE, object=np("- old saw", owner=name("Peter").name)),
     "We see Peter 's old saw .", "Wir sehen Peters alte Säge ."),
    (c.Clause(i("we"), WALK, places=at("in", np("all small house", "Plur"))),
     "We walk in all small houses .", "Wir laufen in allen kleinen Häusern ."),
    # word order
    (c.Clause(i("she"), SLEEP, "past", time=times.month(MARCH), time_first=True),
     "In March , she slept .", "Im März schlief sie ."),
    (c.Clause(i("she"), SLEEP, "past", time=times.date(MAY, 3)),
     "She slept on May 3 .", "Sie schlief am 3. Mai ."),
    (c.Clause(c.MonthPhrase(MAY), lexicon.BE, "past", polarity="not",
              predicate=(adjective("cold"),)),
     "May was not cold .", "Der Mai war nicht kalt ."),
    (c.Clause(i("she"), CALL, object=i("he")), "She calls him .", "Sie ruft ihn an ."),
    (c.Clause(i("she"), CALL, "future", object=i("he")),
     "She will call him .", "Sie wird ihn anrufen ."),
    (c.Clause(i("he"), CALL, modal=closed.MODALS["want"], object=i("she")),
     "He wants to call her .", "Er will sie anrufen ."),
    (c.Clause(i("he"), SLEEP, adverbial=c.Adverbial(
        subordinator("weil"), c.Clause(i("she"), CALL, object=i("he")))),
     "He sleeps because she calls him .", "Er schläft , weil sie ihn anruft ."),
    (c.Clause(i("he"), SLEEP, "past", adverbial=c.Adverbial(
        subordinator("als"), c.Clause(i("she"), READ, "past", object=np("the letter")), True)),
     "When she read the letter , he slept .", "Als sie den Brief las , schlief er ."),
    (c.Clause(i("he"), verb("try", "to"), "past", infinitive=c.Clause(
        i("he"), CALL, object=np("her mother"))),
     "He tried to call her mother .", "Er versuchte , ihre Mutter anzurufen ."),
    (c.Clause(i("he"), WALK, places=at("in", np("the kitchen")), purpose=c.Clause(
        i("he"), OPEN, object=np("the can"))),
     "He walks in the kitchen to open the can .",
     "Er läuft in der Küche , um die Dose zu öffnen ."),
    (c.Clause(np("the man", relative=c.Clause(WHO, SLEEP)), SEE, object=i("it")),
     "The man who sleeps sees it .", "Der Mann , der schläft , sieht es ."),
    (c.Clause(i("it"), lexicon.EXIST, object=np("a bear"), places=at("in", np("the park"))),
     "There is a bear in the park .", "Es gibt einen Bären im Park ."),
    # negation
    (c.Clause(np("the dog"), SLEEP, polarity="not"),
     "The dog does not sleep .", "Der Hund schläft nicht ."),
    (c.Clause(np("the dog"), SEE, "past", polarity="not", object=np("a cat")),
     "The dog did not see a cat .", "Der Hund sah keine Katze ."),
    (c.Clause(np("the dog"), SEE, polarity="not", object=np("the cat"),
              places=at("in", np("the house"))),
     "The dog does not see the cat in the house .", "Der Hund sieht die Katze nicht im Haus ."),
    (c.Clause(i("I"), READ, polarity="never", object=np("- book", "Plur")),
     "I never read books .", "Ich lese nie Bücher ."),
    (c.Clause(i("you"), OPEN, modal=closed.MODALS["may"], polarity="not", object=np("that window")),
     "You may not open that window .", "Du darfst jenes Fenster nicht öffnen ."),
    (c.Clause(c.Demonstrative(False), lexicon.BE, polarity="not", object=np("a good teacher")),
     "That is not a good teacher .", "Das ist kein guter Lehrer ."),
    (c.Clause(c.Demonstrative(True), lexicon.BE, "past", polarity="not", object=np("our plan")),
     "This was not our plan .", "Dies war nicht unser Plan ."),
    # questions
    (c.Clause(i("you"), SEE, object=np("the cat"), question=True),
     "Do you see the cat ?", "Siehst du die Katze ?"),
    (c.Clause(np("her dog"), SEE, object=c.Question(False), question=True),
     "What does her dog see ?", "Was sieht ihr Hund ?"),
    (c.Clause(i("he"), HELP, "past", object=c.Question(True), question=True),
     "Who did he help ?", "Wem half er ?"),
    (c.Clause(i("he"), HELP, object=np("- dog", "Plur", how_many=True), question=True),
     "How many dogs does he help ?", "Wie vielen Hunden hilft er ?"),
    (c.Clause(c.Question(True), READ, object=np("- old letter", "Plur"), question=True),
     "Who reads old letters ?", "Wer liest alte Briefe ?"),
    (c.Clause(i("she"), READ, object=np("which book"), question=True, tense="perfect"),
     "Which book has she read ?", "Welches Buch hat sie gelesen ?"),
    (c.Clause(np("the child", "Plur"), SLEEP, "progressive", question=True,
              question_adverb=closed.QUESTION_ADVERBS[0]),
     "Where are the children sleeping ?", "Wo schlafen die Kinder ?"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("clause", "english", "german"), PINNED, ids=[english for _, english, _ in PINNED]
)
def test_pinned(clause: c.Clause, english: str, german: str) -> None:
    pair = realise(c.Sentence(clause))
    assert (text(pair.english), text(pair.german)) == (english, german)


def test_coordination_of_clauses() -> None:
    other = c.Clause(i("she"), WALK)
    pair = realise(c.Sentence(DOG_SLEEPS, other, contrast=True, opening="yes"))
    assert text(pair.english) == "Yes , the dog sleeps , but she walks ."
    assert text(pair.german) == "Ja , der Hund schläft , aber sie läuft ."


def test_annotation_of_a_sentence() -> None:
    clause = c.Clause(
        np("the cook", "Plur"), verb("watch", "trans"), "past", object=np("her watch")
    )
    pair = realise(c.Sentence(clause))
    assert pair.english == (
        Token("The", "DET", "DET|Definite=Def|PronType=Art", "DEF"),
        Token("cooks", "NOUN", "NOUN|Number=Plur", "ROL"),
        Token("watched", "VERB", "VERB|Tense=Past|Number=Plur|Person=3", "EPS"),
        Token("her", "DET", "DET|PronType=Prs|Poss=Yes", "HAS"),
        Token("watch", "NOUN", "NOUN|Number=Sing", "CON"),
        Token(".", "PUNCT", "PUNCT", "NIL"),
    )
    assert pair.german[4] == Token("Uhr", "NOUN", "NOUN|Case=Acc|Gender=Fem|Number=Sing", "CON")


@pytest.mark.parametrize(
    ("row", "forms"),
    [
        ("öffnen - - geöffnet haben", "öffne öffnest öffnet öffnete öffnetest öffneten"),
        ("tanzen - - getanzt haben", "tanze tanzt tanzt tanzte tanztest tanzten"),
        ("warten - - gewartet haben", "warte wartest wartet wartete wartetest warteten"),
        ("finden - fand gefunden haben", "finde findest findet fand fandest fanden"),
        ("essen isst/isst aß gegessen haben", "esse isst isst aß aßest aßen"),
        ("kommen - kam gekommen sein", "komme kommst kommt kam kamst kamen"),
    ],
)  # fmt: skip
def test_german_conjugation(row: str, forms: str) -> None:
    entry = german_verb(*row.split())
    found = [entry.finite("Pres", person, "Sing") for person in (1, 2, 3)]
    found += [entry.finite("Past", person, "Sing") for person in (1, 2)]
    assert [*found, entry.finite("Past", 3, "Plur")] == forms.split()


def test_unknown_tags_are_refused() -> None:
    for bad in (("X", "NOUNS", "CON"), ("X", "NOUN", "XXX")):
        with pytest.raises(KeyError):
            make(*bad)
    with pytest.raises(KeyError):
        make("X", "NOUN", "CON", Colour="Red")


# Rules over the output.


def each(pairs: list[Pair]) -> Iterator[tuple[Token, ...]]:
    for pair in pairs:
        yield pair.english
        yield pair.german


def bigrams(sentences: Iterator[tuple[Token, ...]]) -> Iterator[tuple[Token, Token]]:
    for tokens in sentences:
        yield from itertools.pairwise(tokens)


def test_same_seed_same_sentences(pairs: list[Pair]) -> None:
    assert list(itertools.islice(generate(11), 200)) == pairs[:200]
    assert list(itertools.islice(generate(12), 200)) != pairs[:200]


def test_shape_of_sentences(pairs: list[Pair]) -> None:
    for pair in pairs:
        assert 3 <= len(pair.english) <= 20
        assert pair.english[-1].form in ".?"
        assert pair.english[-1] == pair.german[-1]
    for tokens in each(pairs):
        assert tokens[0].form[0].isupper() or tokens[0].form[0].isdigit()
        assert all(token.form and " " not in token.form for token in tokens)
        assert tokens[0].pos != "PUNCT"
        assert [t.form for t in tokens if t.form in ".?"] == [tokens[-1].form]
    for first, second in bigrams(each(pairs)):
        assert first.pos != "PUNCT" or second.pos != "PUNCT"


def test_vocabulary(pairs: list[Pair]) -> None:
    assert 250 <= len({token.form for pair in pairs for token in pair.english}) <= 700


def test_every_tag_is_documented_and_ordered(pairs: list[Pair]) -> None:
    used: set[str] = set()
    for token in {token for tokens in each(pairs) for token in tokens}:
        used.add(token.sem)
        pos, *features = token.morph.split("|")
        assert pos == token.pos
        assert token.pos in UPOS
        positions = [FEATURE_ORDER.index(feature.split("=")[0]) for feature in features]
        assert positions == sorted(set(positions))
    assert used == set(SEM_TAGS)


def test_classes_of_proper_words(pairs: list[Pair]) -> None:
    english = {token for pair in pairs for token in pair.english}
    for tag, words in (
        ("MOY", MONTHS),
        ("DOW", {english for english, _ in closed.WEEKDAYS}),
        ("YOC", set(closed.YEARS)),
    ):
        assert {token.form for token in english if token.sem == tag} == words
    german = {token for pair in pairs for token in pair.german}
    months = {german for _, german in closed.MONTHS}
    assert {token.form for token in german if token.sem == "MOY"} == months
    assert all(t.form[0].isupper() for t in german if t.pos in ("NOUN", "PROPN"))


def test_im_before_a_month(pairs: list[Pair]) -> None:
    """A month after "in" stands after "im", and no German "in" precedes one."""
    german = (pair.german for pair in pairs)
    before = {a.form.lower() for a, b in bigrams(german) if b.sem == "MOY"}
    assert {w for w in before if not w[0].isdigit()} <= {"im", "der", "letzten", "nächsten"}
    for pair in pairs:
        found = [b for a, b in itertools.pairwise(pair.english) if a.form.lower() == "in"]
        if any(token.sem == "MOY" for token in found):
            after = [b.sem for a, b in itertools.pairwise(pair.german) if a.form.lower() == "im"]
            assert "MOY" in after


def test_uncontracted_articles_are_gone(pairs: list[Pair]) -> None:
    for first, second in bigrams(pair.german for pair in pairs):
        assert (first.form.lower(), second.form) not in {
            ("in", "dem"), ("in", "das"), ("zu", "dem"), ("zu", "der"), ("bei", "dem"),
        } or second.sem != "DEF"  # fmt: skip


def test_english_agreement(pairs: list[Pair]) -> None:
    third = {v.english.third for v in lexicon.VERBS} | {"wants"}
    checked = 0
    for first, second in bigrams(pair.english for pair in pairs):
        if first.pos != "PRON" or "Case=Nom" not in first.morph or second.sem != "ENS":
            continue
        singular = first.form.lower() in ("he", "she", "it")
        assert (second.form in third) == singular
        assert ("Number=Sing|Person=3" in second.morph) == singular
        checked += 1
    assert checked > 200


def test_do_and_modals_take_the_base_form(pairs: list[Pair]) -> None:
    for pair in pairs:
        skipped = [t for t in pair.english if t.sem not in ("NOT", "QUV") and t.form != "always"]
        for first, second in itertools.pairwise(skipped):
            if first.pos == "AUX" and first.form.lower() in ("do", "does", "did", "can", "must"):
                assert second.pos != "VERB" or "VerbForm=Inf" in second.morph


def test_a_and_an(pairs: list[Pair]) -> None:
    for first, second in bigrams(pair.english for pair in pairs):
        if first.form.lower() in ("a", "an"):
            assert (first.form.lower() == "an") == (second.form[0] in "aeiou")


def test_german_verb_final_after_subordinators(pairs: list[Pair]) -> None:
    checked = 0
    for pair in pairs:
        words = [token.form for token in pair.german]
        if "weil" not in words or "und" in words or "aber" in words:
            continue
        clause = list(itertools.takewhile(
            lambda token: token.pos != "PUNCT", pair.german[words.index("weil") + 1 :]
        ))  # fmt: skip
        assert clause[-1].pos in ("VERB", "AUX")
        assert "Tense=" in clause[-1].morph
        checked += 1
    assert checked > 50


def test_german_agreement_within_noun_phrases(pairs: list[Pair]) -> None:
    """Case, gender and number of an article or adjective are those of the word it precedes."""

    def features(token: Token) -> list[str]:
        names = ("Case", "Gender", "Number")
        return [part for part in token.morph.split("|") if part.startswith(names)]

    for first, second in bigrams(pair.german for pair in pairs):
        if first.pos in ("DET", "ADJ") and second.pos in ("ADJ", "NOUN") and features(first):
            assert features(first) == features(second)


def test_context_decides_part_of_speech(pairs: list[Pair]) -> None:
    """The majority tag of each word leaves several points for context to win."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for pair in pairs:
        for token in pair.english:
            counts[token.form][token.pos] += 1
    total = sum(sum(tags.values()) for tags in counts.values())
    majority = sum(max(tags.values()) for tags in counts.values())
    assert 0.85 < majority / total < 0.95
    for word in ("walk", "play", "watch", "cook", "plant", "saw", "open", "her", "that", "to",
                 "like", "light", "can", "May", "before"):  # fmt: skip
        assert sum(n >= 5 for n in counts[word].values()) >= 2, word


# Files.


def read(folder: Path) -> dict[str, list[str]]:
    return {path.name: path.read_text(encoding="utf-8").splitlines() for path in folder.iterdir()}


def test_corpus_files(tmp_path: Path) -> None:
    groups = write_corpus(tmp_path / "a", 100, 5, **SMALL)
    write_corpus(tmp_path / "b", 100, 5, **SMALL)
    files = read(tmp_path / "a")
    assert files == read(tmp_path / "b")
    assert {group.name: group.sentences for group in groups} == {
        "train.A": 34, "train.B": 33, "train.C": 33, "valid": 20, "test": 20,
        "probe-train": 40, "probe-test": 20,
    }  # fmt: skip
    for language in ("en", "de"):
        every = [line for group in groups for line in files[f"{group.name}.{language}"]]
        assert len(every) == len(set(every)) == 200
        for name in ("probe-train", "probe-test"):
            for layer in ("pos", "morph", "sem"):
                tags = files[f"{name}.{language}.{layer}"]
                words = files[f"{name}.{language}"]
                assert [len(t.split(" ")) for t in tags] == [len(w.split(" ")) for w in words]
    assert not list(tmp_path.glob(".*"))


def test_conllu(tmp_path: Path) -> None:
    write_corpus(tmp_path / "a", 9, 5, **SMALL)
    files = read(tmp_path / "a")
    rows = [line.split("\t") for line in files["probe-test.en.conllu"] if line[:1].isdigit()]
    assert all(len(row) == 10 for row in rows)
    for column, layer in ((1, "en"), (3, "en.pos"), (4, "en.sem")):
        flat = [word for line in files[f"probe-test.{layer}"] for word in line.split(" ")]
        assert [row[column] for row in rows] == flat
    assert all(row[5] == "|".join(sorted(row[5].split("|"))) for row in rows)


def test_refuses_what_it_cannot_write(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least one"):
        write_corpus(tmp_path / "a", 2, 5, **SMALL)
    with pytest.raises(ValueError, match="parts"):
        write_corpus(tmp_path / "a", 100, 5, parts=0, **SMALL)
    assert not (tmp_path / "a").exists()


def test_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "corpus"
    groups = ("valid", "test", "probe-train", "probe-test")
    sizes = [f"--{group}=5" for group in groups]
    command = ["--output-dir", str(target), "--train=30", *sizes]
    assert main(command) == 0
    assert len(capsys.readouterr().out.splitlines()) == 7
    assert main(command) == 0
    capsys.readouterr()
    before = read(target)
    assert main([*command, "--seed", "9"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert len(captured.err.splitlines()) == 1
    assert read(target) == before
