"""English noun phrases, prepositional phrases and closed-class tokens."""

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
from .words import Adjective, Determiner, Word

AND = make("and", "CCONJ", "AND")
OR = make("or", "CCONJ", "DIS")
VERY = make("very", "ADV", "INT")
TO = make("to", "PART", "NIL")


def word(entry: Word) -> Token:
    """Return an uninflected word."""
    return make(entry.english, entry.pos, entry.sem)


def determiner(entry: Determiner, number: str) -> Token:
    """Return a determiner; only demonstratives show number."""
    form = entry.singular if number == "Sing" else entry.plural
    features = dict(entry.features)
    if features.get("PronType") == "Dem":
        features["Number"] = number
    return make(form, "DET", entry.sem, **features)


def adjectives(entries: tuple[Adjective, ...], intensified: bool) -> list[Token]:
    """Return adjectives in a row, "very" before the first if asked."""
    tokens = [make(a.english, "ADJ", a.sem, Degree="Pos") for a in entries]
    return [VERY, *tokens] if intensified and tokens else tokens


def _noun_phrase(phrase: NounPhrase) -> list[Token]:
    tokens: list[Token] = []
    if phrase.owner is not None:
        tokens.append(make(phrase.owner.english, "PROPN", "PER", Number="Sing"))
        tokens.append(make("'s", "PART", "REL"))
    if phrase.how_many:
        tokens.append(make("how", "ADV", "QUE", PronType="Int"))
        tokens.append(determiner(DETERMINERS["many"], "Plur"))
    if phrase.numeral is not None:
        tokens.append(make(phrase.numeral[0], "NUM", "QUC", NumType="Card"))
    tokens += adjectives(phrase.adjectives, phrase.intensified)
    noun = phrase.noun
    form = noun.singular if phrase.number == "Sing" else noun.plural
    tokens.append(make(form, "NOUN", noun.sem, Number=phrase.number))
    if phrase.determiner is not None:
        first = determiner(phrase.determiner, phrase.number)
        if first.form == "a" and tokens[0].form[0] in "aeiou":
            first = make("an", first.pos, first.sem, Definite="Ind", PronType="Art")
        tokens.insert(0, first)
    if phrase.of is not None:
        tokens += [make("of", "ADP", "REL"), *_noun_phrase(phrase.of)]
    return tokens


def _pronoun(phrase: PronounPhrase, case: str) -> Token:
    entry = phrase.pronoun
    form = entry.subject if case == "Nom" else entry.object
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


def realise_phrase(phrase: Phrase, case: str) -> list[Token]:
    """Return the tokens of a phrase in the case Nom or Acc, without relative clauses."""
    match phrase:
        case NounPhrase():
            return _noun_phrase(phrase)
        case PronounPhrase():
            return [_pronoun(phrase, case)]
        case NamePhrase(name):
            return [make(name.english, "PROPN", name.sem, Number="Sing")]
        case MonthPhrase(month):
            return [make(month[0], "PROPN", "MOY", Number="Sing")]
        case Demonstrative(proximal):
            form, sem = ("this", "PRX") if proximal else ("that", "DST")
            return [make(form, "PRON", sem, Number="Sing", PronType="Dem")]
        case Question(person):
            return [make("who" if person else "what", "PRON", "QUE", PronType="Int")]
        case RelativePronoun(noun, _):
            form = "who" if noun.kind == "person" else "that"
            return [make(form, "PRON", "SUB", PronType="Rel")]
        case Coordination(first, second, disjunctive):
            middle = OR if disjunctive else AND
            return [*realise_phrase(first, case), middle, *realise_phrase(second, case)]


def realise_prepositional(phrase: PrepPhrase | Word) -> list[Token]:
    """Return a prepositional phrase or a place adverb."""
    if isinstance(phrase, Word):
        return [word(phrase)]
    first = make(phrase.preposition.english, "ADP", "REL")
    return [first, *realise_phrase(phrase.phrase, "Acc")]
