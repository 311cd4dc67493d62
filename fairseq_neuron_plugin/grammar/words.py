"""Types of lexical entries, and the regular inflection of both languages."""

from __future__ import annotations

import re
from dataclasses import dataclass

_DOUBLING = frozenset({"forget", "plan", "run", "sit", "swim"})


@dataclass(frozen=True, slots=True)
class Noun:
    """A noun; German dative plural and weak singular follow from the other forms."""

    singular: str
    plural: str
    gender: str
    nominative: str
    genitive: str
    german_plural: str
    kind: str
    sem: str

    @property
    def mass(self) -> bool:
        """Whether the noun has no plural."""
        return self.plural == "-"

    def german(self, number: str, case: str) -> str:
        """Return the German form for a number (Sing, Plur) and case (Nom, Acc, Dat, Gen)."""
        if number == "Plur":
            takes_n = case == "Dat" and self.german_plural[-1] not in "ns"
            return self.german_plural + ("n" if takes_n else "")
        if case == "Gen" or (case != "Nom" and self.weak):
            return self.genitive
        return self.nominative

    @property
    def weak(self) -> bool:
        """Whether this is an n-noun such as Junge, which alone lack a genitive s."""
        return self.gender == "Masc" and not self.genitive.endswith("s")


@dataclass(frozen=True, slots=True)
class EnglishVerb:
    """The five forms of an English verb."""

    base: str
    third: str
    past: str
    participle: str
    gerund: str


@dataclass(frozen=True, slots=True)
class GermanVerb:
    """A German verb without its separable prefix, which `prefix` holds."""

    infinitive: str
    present: tuple[str, str, str]
    preterite: str
    participle: str
    auxiliary: str
    prefix: str

    def finite(self, tense: str, person: int, number: str) -> str:
        """Return the finite form for a tense (Pres, Past), person and number."""
        if tense == "Pres":
            return self.plural if number == "Plur" else self.present[person - 1]
        if number == "Plur":
            return self.preterite + ("n" if self.preterite.endswith("e") else "en")
        if person != 2:
            return self.preterite
        return self.preterite + ("est" if self.preterite[-1] in "dtsßz" else "st")

    @property
    def plural(self) -> str:
        """The first and third person plural of the present."""
        return "sind" if self.infinitive == "sein" else self.infinitive


@dataclass(frozen=True, slots=True)
class Verb:
    """A verb of both languages with what it combines with."""

    english: EnglishVerb
    german: GermanVerb
    frame: str
    subjects: tuple[str, ...]
    objects: tuple[str, ...]
    flags: tuple[str, ...]

    @property
    def object_case(self) -> str:
        """The German case of the object."""
        return "Dat" if "dat" in self.flags else "Acc"


@dataclass(frozen=True, slots=True)
class Adjective:
    """An adjective; `stem` takes the German endings, `german` is the predicate form."""

    english: str
    german: str
    stem: str
    kinds: tuple[str, ...]
    sem: str
    attributive_only: bool


@dataclass(frozen=True, slots=True)
class Determiner:
    """A determiner; `paradigm` is one of definite, der, ein, plural."""

    singular: str
    plural: str
    stem: str
    paradigm: str
    sem: str
    features: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Pronoun:
    """A personal pronoun."""

    subject: str
    object: str
    nominative: str
    accusative: str
    dative: str
    person: int
    number: str
    gender: str


@dataclass(frozen=True, slots=True)
class Name:
    """A proper name of a person (PER) or a city (GPE)."""

    english: str
    german: str
    gender: str
    sem: str


@dataclass(frozen=True, slots=True)
class Modal:
    """A modal; `english` is its present and past, '-' where it has none."""

    name: str
    english: tuple[str, str]
    german: GermanVerb
    sem: str


@dataclass(frozen=True, slots=True)
class Preposition:
    """A preposition with its German case, role in the clause and kinds of noun."""

    english: str
    german: str
    case: str
    role: str
    kinds: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Word:
    """An uninflected word pair with part of speech and semantic tag."""

    english: str
    german: str
    pos: str
    sem: str


def rows(table: str) -> list[list[str]]:
    """Return the non-empty lines of `table`, each split into columns; bars are ignored."""
    lines = [line.replace("|", " ").split() for line in table.splitlines()]
    return [line for line in lines if line]


def english_verb(base: str, past: str, participle: str) -> EnglishVerb:
    """Return the verb with its regular forms filled in; '-' asks for the regular past."""
    stem = base + base[-1] if base in _DOUBLING else base
    y_stem = re.search(r"[^aeiou]y$", base) is not None
    if y_stem:
        third, regular = base[:-1] + "ies", base[:-1] + "ied"
    else:
        third = base + ("es" if re.search(r"(s|sh|ch|x|o)$", base) else "s")
        regular = stem + ("d" if base.endswith("e") else "ed")
    third = "has" if base == "have" else third
    gerund = (base[:-1] if re.search(r"[^e]e$", base) else stem) + "ing"
    past = regular if past == "-" else past
    return EnglishVerb(base, third, past, past if participle == "-" else participle, gerund)


def german_verb(
    infinitive: str, present: str, preterite: str, participle: str, auxiliary: str
) -> GermanVerb:
    """Return the verb with its regular forms filled in.

    `infinitive` writes a separable prefix as "an+rufen".  `present` is "-" if
    regular, else the second and third person singular (or all three), joined by
    "/"; `preterite` is "-" if weak.
    """
    prefix, _, bare = infinitive.rpartition("+")
    stem = bare.removesuffix("en")
    link = "e" if re.search(r"[td]$|[^aeiouäöülrhmn][nm]$", stem) else ""
    if present == "-":
        second = "t" if stem[-1] in "sßz" else link + "st"
        forms = [stem + "e", stem + second, stem + link + "t"]
    else:
        forms = present.split("/")
        forms = forms if len(forms) == 3 else [stem + "e", *forms]
    preterite = stem + link + "te" if preterite == "-" else preterite
    return GermanVerb(
        bare, (forms[0], forms[1], forms[2]), preterite, participle, auxiliary, prefix
    )
