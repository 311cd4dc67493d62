"""German noun phrases: declension of determiners, adjectives and nouns; prepositions."""

from __future__ import annotations

from .clause import (
    Coordination,
    Demonstrative,
    MonthPhrase,
    NamePhrase,
    NounPhrase,
    Phrase,
    PrepPhrase,
    PronounPhrase,
    Question,
    RelativePronoun,
)
from .closed_class import DETERMINERS
from .tags import Token, make
from .words import Adjective, Determiner, Name, Word

# Endings for Masc, Fem, Neut, plural in each case; "-" is the empty ending.
_DER = {"Nom": "er e es e", "Acc": "en e es e", "Dat": "em er em en", "Gen": "es er es er"}
_EIN = {"Nom": "- e - e", "Acc": "en e - e", "Dat": "em er em en", "Gen": "es er es er"}
_STRONG = {"Nom": "er e es e", "Acc": "en e es e", "Dat": "em er em en", "Gen": "en er en er"}
_WEAK = {"Nom": "e e e en", "Acc": "en e e en", "Dat": "en en en en", "Gen": "en en en en"}
_MIXED = {"Nom": "er e es en", "Acc": "en e es en", "Dat": "en en en en", "Gen": "en en en en"}
_ARTICLE = {"Nom": "der die das die", "Acc": "den die das die"}
_ARTICLE |= {"Dat": "dem der dem den", "Gen": "des der des der"}
_COLUMNS = ("Masc", "Fem", "Neut")
_CONTRACTIONS = {"in dem": "im", "in das": "ins", "zu dem": "zum", "zu der": "zur"}
_CONTRACTIONS |= {"bei dem": "beim"}

AND = make("und", "CCONJ", "AND")
OR = make("oder", "CCONJ", "DIS")
VERY = make("sehr", "ADV", "INT")


def word(entry: Word) -> Token:
    """Return an uninflected word."""
    return make(entry.german, entry.pos, entry.sem)


def _pick(table: dict[str, str], case: str, gender: str, number: str) -> str:
    column = 3 if number == "Plur" else _COLUMNS.index(gender)
    return table[case].split()[column].replace("-", "")


def article(case: str, gender: str, number: str) -> Token:
    """Return the definite article."""
    form = _pick(_ARTICLE, case, gender, number)
    features = {"Case": case, "Gender": gender, "Number": number}
    return make(form, "DET", "DEF", Definite="Def", PronType="Art", **features)


def _determiner(entry: Determiner, case: str, gender: str, number: str) -> Token:
    if entry.paradigm == "definite":
        return article(case, gender, number)
    table = _EIN if entry.paradigm == "ein" else _DER
    form = entry.stem + _pick(table, case, gender, number)
    features = {"Case": case, "Gender": gender, "Number": number, **dict(entry.features)}
    return make(form, "DET", entry.sem, **features)


def _adjective_table(entry: Determiner | None) -> dict[str, str]:
    if entry is None or entry.paradigm == "plural":
        return _STRONG
    return _MIXED if entry.paradigm == "ein" else _WEAK


def predicate(entries: tuple[Adjective, ...], intensified: bool) -> list[Token]:
    """Return predicate adjectives, which German does not inflect."""
    tokens = [make(a.german, "ADJ", a.sem, Degree="Pos") for a in entries]
    if len(tokens) > 1:
        tokens.insert(1, AND)
    return [VERY, *tokens] if intensified and tokens else tokens


def _genitive(name: Name) -> Token:
    return make(name.german + "s", "PROPN", "PER", Case="Gen", Gender=name.gender, Number="Sing")


def _quantity(phrase: NounPhrase, case: str) -> list[Token]:
    tokens: list[Token] = []
    if phrase.how_many:
        many = _determiner(DETERMINERS["many"], case, phrase.noun.gender, "Plur")
        tokens += [make("wie", "ADV", "QUE", PronType="Int"), many]
    if phrase.numeral is not None:
        tokens.append(make(phrase.numeral[1], "NUM", "QUC", NumType="Card"))
    return tokens


def _noun_phrase(phrase: NounPhrase, case: str) -> list[Token]:
    noun, number, entry = phrase.noun, phrase.number, phrase.determiner
    features = {"Case": case, "Gender": noun.gender, "Number": number}
    tokens: list[Token] = []
    if phrase.owner is not None:
        tokens.append(_genitive(phrase.owner))
    if entry is not None:
        tokens.append(_determiner(entry, case, noun.gender, number))
    tokens += _quantity(phrase, case)
    if phrase.intensified and phrase.adjectives:
        tokens.append(VERY)
    for adjective in phrase.adjectives:
        form = adjective.stem + _pick(_adjective_table(entry), case, noun.gender, number)
        tokens.append(make(form, "ADJ", adjective.sem, Degree="Pos", **features))
    tokens.append(make(noun.german(number, case), "NOUN", noun.sem, **features))
    if phrase.of is not None:
        tokens += _noun_phrase(phrase.of, "Gen")
    return tokens


def _pronoun(phrase: PronounPhrase, case: str) -> Token:
    entry = phrase.pronoun
    form = {"Nom": entry.nominative, "Acc": entry.accusative, "Dat": entry.dative}[case]
    return make(
        form,
        "PRON",
        "PRO",
        Case=case,
        Gender=entry.gender,
        Number=entry.number,
        Person=str(entry.person),
        PronType="Prs",
    )


def _question(person: bool, case: str) -> Token:
    form = {"Nom": "wer", "Acc": "wen", "Dat": "wem"}[case] if person else "was"
    return make(form, "PRON", "QUE", Case=case, Number="Sing", PronType="Int")


def realise_phrase(phrase: Phrase, case: str) -> list[Token]:
    """Return the tokens of a phrase in a case, without relative clauses."""
    match phrase:
        case NounPhrase():
            return _noun_phrase(phrase, case)
        case PronounPhrase():
            return [_pronoun(phrase, case)]
        case NamePhrase(name):
            features = {"Case": case, "Gender": name.gender, "Number": "Sing"}
            return [make(name.german, "PROPN", name.sem, **features)]
        case MonthPhrase(month):
            features = {"Case": case, "Gender": "Masc", "Number": "Sing"}
            march = make(month[1], "NOUN", "MOY", **features)
            return [article(case, "Masc", "Sing"), march]
        case Demonstrative(proximal):
            features = {"Case": case, "Gender": "Neut", "Number": "Sing", "PronType": "Dem"}
            form, sem = ("dies", "PRX") if proximal else ("das", "DST")
            return [make(form, "PRON", sem, **features)]
        case Question(person):
            return [_question(person, case)]
        case RelativePronoun(noun, number):
            features = {"Case": case, "Gender": noun.gender, "Number": number}
            form = _pick(_ARTICLE, case, noun.gender, number)
            return [make(form, "PRON", "SUB", PronType="Rel", **features)]
        case Coordination(first, second, disjunctive):
            middle = OR if disjunctive else AND
            return [*realise_phrase(first, case), middle, *realise_phrase(second, case)]


def realise_prepositional(phrase: PrepPhrase | Word) -> list[Token]:
    """Return a prepositional phrase, contracted with the article, or a place adverb."""
    if isinstance(phrase, Word):
        return [word(phrase)]
    entry = phrase.preposition
    tokens = realise_phrase(phrase.phrase, entry.case)
    contracted = _CONTRACTIONS.get(f"{entry.german} {tokens[0].form}")
    if contracted is not None and tokens[0].sem == "DEF":
        morph = dict(part.split("=") for part in tokens[0].morph.split("|")[1:])
        features = {name: morph[name] for name in ("Case", "Gender", "Number")}
        return [make(contracted, "ADP", "REL", **features), *tokens[1:]]
    return [make(entry.german, "ADP", "REL"), *tokens]
