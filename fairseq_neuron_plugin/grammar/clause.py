"""Language-neutral clauses: what a sentence says, before either language says it."""

from __future__ import annotations

from dataclasses import dataclass

from .tags import Token
from .words import (
    Adjective,
    Determiner,
    Modal,
    Name,
    Noun,
    Preposition,
    Pronoun,
    Verb,
    Word,
)


@dataclass(frozen=True, slots=True)
class FixedPhrase:
    """An expression without agreement, such as a date, spelled out on both sides."""

    english: tuple[Token, ...]
    german: tuple[Token, ...]


@dataclass(frozen=True, slots=True)
class NounPhrase:
    """A noun with its modifiers; `owner` and `of` are possessors, `relative` a clause."""

    noun: Noun
    number: str = "Sing"
    determiner: Determiner | None = None
    numeral: tuple[str, str] | None = None
    adjectives: tuple[Adjective, ...] = ()
    intensified: bool = False
    owner: Name | None = None
    of: NounPhrase | None = None
    relative: Clause | None = None
    how_many: bool = False

    @property
    def interrogative(self) -> bool:
        """Whether the phrase asks (which, how many)."""
        asks = self.determiner is not None and self.determiner.sem == "QUE"
        return asks or self.how_many

    @property
    def indefinite(self) -> bool:
        """Whether German negates the phrase with kein rather than nicht."""
        if self.determiner is not None:
            return self.determiner.sem == "DIS"
        return self.owner is None and self.numeral is None and not self.how_many


@dataclass(frozen=True, slots=True)
class PronounPhrase:
    """A personal pronoun."""

    pronoun: Pronoun


@dataclass(frozen=True, slots=True)
class NamePhrase:
    """A proper name."""

    name: Name


@dataclass(frozen=True, slots=True)
class MonthPhrase:
    """A month as a subject ("March was cold", "Der März war kalt")."""

    month: tuple[str, str]


@dataclass(frozen=True, slots=True)
class Demonstrative:
    """The subject "this" or "that" of an identifying clause; German has "das"."""

    proximal: bool


@dataclass(frozen=True, slots=True)
class Question:
    """The pronoun "who" or "what"."""

    person: bool


@dataclass(frozen=True, slots=True)
class RelativePronoun:
    """The subject of a relative clause, agreeing with its noun."""

    noun: Noun
    number: str


@dataclass(frozen=True, slots=True)
class Coordination:
    """Two phrases joined by "and" or "or"."""

    first: Phrase
    second: Phrase
    disjunctive: bool = False


Phrase = (
    NounPhrase
    | PronounPhrase
    | NamePhrase
    | MonthPhrase
    | Demonstrative
    | Question
    | RelativePronoun
    | Coordination
)


@dataclass(frozen=True, slots=True)
class PrepPhrase:
    """A preposition with its phrase."""

    preposition: Preposition
    phrase: Phrase


@dataclass(frozen=True, slots=True)
class Adverbial:
    """A subordinate clause with its subordinator."""

    subordinator: Word
    clause: Clause
    fronted: bool = False


@dataclass(frozen=True, slots=True)
class Clause:
    """A clause.

    `tense` is one of present, past, future, progressive, past-progressive,
    perfect; with a modal only present and past occur.  `polarity` is positive,
    not or never.  `complement` is a finite clause with its subordinator,
    `infinitive` one without subject ("to ..."), `purpose` likewise ("um ... zu").
    """

    subject: Phrase
    verb: Verb
    tense: str = "present"
    modal: Modal | None = None
    polarity: str = "positive"
    object: Phrase | None = None
    recipient: Phrase | None = None
    recipient_after: bool = False
    predicate: tuple[Adjective, ...] = ()
    intensified: bool = False
    frequency: Word | None = None
    manner: Word | None = None
    places: tuple[PrepPhrase | Word, ...] = ()
    time: FixedPhrase | PrepPhrase | None = None
    time_first: bool = False
    complement: Adverbial | None = None
    infinitive: Clause | None = None
    purpose: Clause | None = None
    adverbial: Adverbial | None = None
    question: bool = False
    question_adverb: Word | None = None


@dataclass(frozen=True, slots=True)
class Sentence:
    """One clause, or two joined by "and" or "but"; `opening` is yes or no before it."""

    first: Clause
    second: Clause | None = None
    contrast: bool = False
    opening: str = ""


def agreement(phrase: Phrase) -> tuple[int, str]:
    """Return the person and number with which a finite verb agrees."""
    if isinstance(phrase, PronounPhrase):
        return phrase.pronoun.person, phrase.pronoun.number
    if isinstance(phrase, Coordination):
        return 3, "Plur"
    if isinstance(phrase, NounPhrase | RelativePronoun):
        return 3, phrase.number
    return 3, "Sing"


def interrogative(phrase: Phrase | None) -> bool:
    """Return whether the phrase asks and so opens its question."""
    if isinstance(phrase, NounPhrase):
        return phrase.interrogative
    return isinstance(phrase, Question)
