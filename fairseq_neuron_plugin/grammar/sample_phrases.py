"""Random noun phrases and prepositional phrases."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import TypeVar

from .clause import (
    Coordination,
    NamePhrase,
    NounPhrase,
    Phrase,
    PrepPhrase,
    PronounPhrase,
)
from .closed_class import (
    DETERMINERS,
    NAMES,
    NUMERALS,
    POSSESSIVES,
    PREPOSITIONS,
    PRONOUNS,
)
from .lexicon import ADJECTIVES, NOUNS, VERBS
from .words import Adjective, Name, Noun, Preposition, Verb

T = TypeVar("T")

# Words of two classes are drawn this many times as often as the others.
_AMBIGUOUS_WEIGHT = 3
_OWNABLE = ("text", "thing", "vehicle", "place", "animal", "surface", "abstract", "plant")
PERSONS: tuple[Name, ...] = tuple(name for name in NAMES if name.sem == "PER")
CITIES: tuple[Name, ...] = tuple(name for name in NAMES if name.sem == "GPE")


def _nominal_forms() -> frozenset[str]:
    nouns = {form for noun in NOUNS for form in (noun.singular, noun.plural)}
    return frozenset(nouns | {adjective.english for adjective in ADJECTIVES})


def _verbal_forms() -> frozenset[str]:
    verbs = [verb.english for verb in VERBS]
    return frozenset(form for verb in verbs for form in (verb.base, verb.past, verb.third))


NOMINAL_FORMS = _nominal_forms()
# Nouns that look like a function word or an adverb count as well.
_AMBIGUOUS_NOUNS = _verbal_forms() | {"can", "well", "light"}


def ambiguous_verb(verb: Verb) -> bool:
    """Return whether some form of the verb is a noun or adjective as well."""
    return bool({verb.english.base, verb.english.past} & NOMINAL_FORMS)


def _kind_table() -> dict[str, tuple[Noun, ...]]:
    table: dict[str, list[Noun]] = {}
    for noun in NOUNS:
        # Persons (cook, guide) are frequent as it is.
        rare = noun.singular in _AMBIGUOUS_NOUNS and noun.kind != "person"
        weight = _AMBIGUOUS_WEIGHT if rare else 1
        table.setdefault(noun.kind, []).extend([noun] * weight)
    return {kind: tuple(nouns) for kind, nouns in table.items()}


_BY_KIND = _kind_table()
_SINGULAR = (
    ["the"] * 38 + ["a"] * 22 + ["own"] * 20 + ["this"] * 5 + ["that"] * 9 + ["every"] * 3
    + ["no"] * 2 + ["'s"] * 4
)  # fmt: skip
_PLURAL = (
    ["the"] * 32 + [""] * 14 + ["own"] * 16 + ["this"] * 5 + ["that"] * 6 + ["numeral"] * 14
    + ["many"] * 6 + ["some"] * 5 + ["all"] * 3
)  # fmt: skip
_MASS = ["the"] * 35 + [""] * 40 + ["own"] * 20 + ["'s"] * 5
# Determiners that sit well within the scope of a negation.
_NEGATABLE = frozenset({"the", "a", "own", "this", "that", "'s", ""})
_DEFINITE = frozenset({"the", "own", "this", "that", "'s"})


@dataclass(frozen=True, slots=True)
class PhraseSampler:
    """Draws phrases from one random source."""

    rng: Random
    adjective_rate: float = field(default=0.28)

    def chance(self, probability: float) -> bool:
        """Return True with the given probability."""
        return self.rng.random() < probability

    def noun(self, kinds: tuple[str, ...]) -> Noun:
        """Draw a noun of one of the kinds."""
        pool = [noun for kind in kinds for noun in _BY_KIND.get(kind, ())]
        return self.rng.choice(pool)

    def noun_phrase(self, kinds: tuple[str, ...], scope: str = "any") -> NounPhrase:
        """Draw a noun phrase; `scope` is any, negatable, definite or indefinite."""
        noun = self.noun(kinds)
        number = "Plur" if not noun.mass and self.chance(0.32) else "Sing"
        word = self._determiner_word(noun, number, scope)
        numeral = self.rng.choice(NUMERALS) if word == "numeral" else None
        owner = self.rng.choice(PERSONS) if word == "'s" else None
        key = self.rng.choice((*POSSESSIVES, "her", "her")) if word == "own" else word
        determiner = DETERMINERS.get(key)
        return NounPhrase(
            noun,
            number,
            determiner,
            numeral,
            *self.modifiers(noun.kind),
            owner=owner,
            of=self._of(noun) if word == "the" and scope != "indefinite" else None,
        )

    def _determiner_word(self, noun: Noun, number: str, scope: str) -> str:
        if scope == "indefinite":
            if noun.mass:
                return ""
            return "a" if number == "Sing" else self.rng.choice(("numeral", "many", "some"))
        pool = _MASS if noun.mass else _SINGULAR if number == "Sing" else _PLURAL
        allowed = {"negatable": _NEGATABLE, "definite": _DEFINITE}.get(scope)
        while True:
            word = self.rng.choice(pool)
            if allowed is None or word in allowed:
                return word

    def _of(self, noun: Noun) -> NounPhrase | None:
        if noun.kind not in _OWNABLE or not self.chance(0.08):
            return None
        owner = self.noun(("person",))
        return NounPhrase(owner, "Sing", DETERMINERS[self.rng.choice(("the", "my", "her"))])

    def modifiers(self, kind: str) -> tuple[tuple[Adjective, ...], bool]:
        """Draw attributive adjectives that fit a kind, and whether "very" intensifies them."""
        fitting = [a for a in ADJECTIVES if kind in a.kinds]
        if not fitting or not self.chance(self.adjective_rate):
            return (), False
        first = self.rng.choice(fitting)
        if self.chance(0.12):
            second = self.rng.choice(fitting)
            if second != first and not second.attributive_only and not first.attributive_only:
                return (first, second), False
        return (first,), first.sem == "DEG" and self.chance(0.15)

    def pronoun(self, names: tuple[str, ...] = ("I", "you", "he", "she", "we", "they")) -> Phrase:
        """Draw a personal pronoun of the given names."""
        return PronounPhrase(PRONOUNS[self.rng.choice(names)])

    def subject(self, kinds: tuple[str, ...], scope: str = "any") -> Phrase:
        """Draw a subject: a pronoun, a name, a noun phrase or two joined by "and"."""
        draw = self.rng.random()
        if "person" in kinds and draw < 0.34:
            return self.pronoun()
        if "person" in kinds and draw < 0.46:
            return NamePhrase(self.rng.choice(PERSONS))
        first = self.noun_phrase(kinds, scope)
        if draw > 0.95 and first.numeral is None:
            return self._coordination(kinds, disjunctive=False)
        return first

    def object(self, kinds: tuple[str, ...], subject: Phrase, scope: str = "any") -> Phrase:
        """Draw an object of the given kinds other than the subject."""
        draw = self.rng.random()
        if kinds[0] == "person" and draw < 0.28:
            return self._object_pronoun(subject)
        if "person" in kinds and draw < 0.36:
            return NamePhrase(self.rng.choice([n for n in PERSONS if NamePhrase(n) != subject]))
        if kinds[0] != "person" and draw < 0.08:
            return self.pronoun(("it", "it", "they"))
        first = self.noun_phrase(kinds, scope)
        if scope != "negatable" and draw > 0.95:
            return self._coordination(kinds, disjunctive=self.chance(0.4))
        return first

    def _coordination(self, kinds: tuple[str, ...], disjunctive: bool) -> Phrase:
        first = second = self.noun_phrase(kinds, "definite")
        for _ in range(3):
            if second.noun == first.noun:
                second = self.noun_phrase(kinds, "definite")
        return Coordination(first, second, disjunctive) if second.noun != first.noun else first

    def _object_pronoun(self, subject: Phrase) -> Phrase:
        names = ["I", "you", "he", "she", "she", "we", "they"]
        if isinstance(subject, PronounPhrase):
            # "I see me" would want a reflexive pronoun on both sides.
            own = subject.pronoun.subject
            names = [name for name in names if name != own and {name, own} != {"I", "we"}]
        return self.pronoun(tuple(names))

    def prepositional(self, role: str) -> PrepPhrase:
        """Draw a prepositional phrase of a role (place, goal, company, likeness, time)."""
        fitting = [p for p in PREPOSITIONS if p.role == role]
        preposition = self.rng.choice(fitting)
        return PrepPhrase(preposition, self._complement(preposition))

    def _complement(self, preposition: Preposition) -> Phrase:
        kinds = preposition.kinds
        if kinds == ("city",) or ("city" in kinds and self.chance(0.25)):
            return NamePhrase(self.rng.choice(CITIES))
        if preposition.role == "company" and self.chance(0.35):
            if self.chance(0.5):
                return self.pronoun(("I", "you", "he", "she", "she", "we", "they"))
            return NamePhrase(self.rng.choice(PERSONS))
        if preposition.role == "likeness":
            noun = self.noun(kinds)
            return NounPhrase(noun, "Sing", DETERMINERS["a"], None, *self.modifiers(noun.kind))
        return self.noun_phrase(kinds, "definite")
