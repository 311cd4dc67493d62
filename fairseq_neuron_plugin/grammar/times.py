"""Time expressions: months, dates, weekdays, years, adverbs, by the tense they fit."""

from __future__ import annotations

from random import Random

from .clause import FixedPhrase
from .closed_class import MONTHS, WEEKDAYS, YEARS
from .tags import Token, make

_MASC = {"Gender": "Masc", "Number": "Sing"}


def _adverb(english: str, german: str) -> FixedPhrase:
    return FixedPhrase((make(english, "ADV", "DXT"),), (make(german, "ADV", "DXT"),))


_ADVERBS: dict[str, tuple[FixedPhrase, ...]] = {
    "present": (_adverb("now", "jetzt"), _adverb("today", "heute")),
    "past": (_adverb("yesterday", "gestern"),),
    "future": (_adverb("tomorrow", "morgen"), _adverb("today", "heute")),
}
# English noun, German noun, gender
_PERIODS = (("week", "Woche", "Fem"), ("year", "Jahr", "Neut"))
_DAY_PARTS = (("evening", "Abend"), ("morning", "Morgen"))


def _contracted(form: str) -> Token:
    return make(form, "ADP", "REL", Case="Dat", **_MASC)


def _month_names(month: tuple[str, str], case: str) -> tuple[Token, Token]:
    english = make(month[0], "PROPN", "MOY", Number="Sing")
    return english, make(month[1], "NOUN", "MOY", Case=case, **_MASC)


def month(name: tuple[str, str]) -> FixedPhrase:
    """Return "in March", "im März"."""
    english, german = _month_names(name, "Dat")
    return FixedPhrase((make("in", "ADP", "REL"), english), (_contracted("im"), german))


def date(name: tuple[str, str], day: int) -> FixedPhrase:
    """Return "on March 3", "am 3. März"."""
    english, german = _month_names(name, "Dat")
    first = make(str(day), "NUM", "DOM", NumType="Card")
    second = make(f"{day}.", "ADJ", "DOM", Case="Dat", **_MASC, NumType="Ord")
    return FixedPhrase(
        (make("on", "ADP", "REL"), english, first), (_contracted("am"), second, german)
    )


def weekday(name: tuple[str, str]) -> FixedPhrase:
    """Return "on Monday", "am Montag"."""
    english = make(name[0], "PROPN", "DOW", Number="Sing")
    german = make(name[1], "NOUN", "DOW", Case="Dat", **_MASC)
    return FixedPhrase((make("on", "ADP", "REL"), english), (_contracted("am"), german))


def year(number: str) -> FixedPhrase:
    """Return "in 1998", "im Jahr 1998"."""
    token = make(number, "NUM", "YOC", NumType="Card")
    neuter = {"Case": "Dat", "Gender": "Neut", "Number": "Sing"}
    german = (make("im", "ADP", "REL", **neuter), make("Jahr", "NOUN", "CON", **neuter), token)
    return FixedPhrase((make("in", "ADP", "REL"), token), german)


def _relative(last: bool, english: Token, german: Token, gender: str) -> FixedPhrase:
    stem = "letzt" if last else "nächst"
    ending = {"Masc": "en", "Fem": "e", "Neut": "es"}[gender]
    features = {"Case": "Acc", "Gender": gender, "Number": "Sing"}
    modifier = make("last" if last else "next", "ADJ", "DXT", Degree="Pos")
    inflected = make(stem + ending, "ADJ", "DXT", Degree="Pos", **features)
    return FixedPhrase((modifier, english), (inflected, german))


def relative_month(name: tuple[str, str], last: bool) -> FixedPhrase:
    """Return "last March", "letzten März" or the like with next."""
    return _relative(last, *_month_names(name, "Acc"), "Masc")


def _relative_period(rng: Random, last: bool) -> FixedPhrase:
    english, german, gender = rng.choice(_PERIODS)
    noun = make(english, "NOUN", "CON", Number="Sing")
    features = {"Case": "Acc", "Gender": gender, "Number": "Sing"}
    return _relative(last, noun, make(german, "NOUN", "CON", **features), gender)


def _day_part(rng: Random) -> FixedPhrase:
    english, german = rng.choice(_DAY_PARTS)
    article = make("the", "DET", "DEF", Definite="Def", PronType="Art")
    noun = make(english, "NOUN", "CON", Number="Sing")
    return FixedPhrase(
        (make("in", "ADP", "REL"), article, noun),
        (_contracted("am"), make(german, "NOUN", "CON", Case="Dat", **_MASC)),
    )


def _every_day() -> FixedPhrase:
    features = {"Case": "Acc", **_MASC, "PronType": "Tot"}
    every = make("every", "DET", "AND", PronType="Tot")
    return FixedPhrase(
        (every, make("day", "NOUN", "CON", Number="Sing")),
        (make("jeden", "DET", "AND", **features), make("Tag", "NOUN", "CON", Case="Acc", **_MASC)),
    )


def sample_month(rng: Random) -> tuple[str, str]:
    """Draw a month; May is twice as likely, as it must compete with the modal may."""
    return rng.choice((*MONTHS, MONTHS[4]))


def sample_time(rng: Random, tense: str) -> FixedPhrase:
    """Draw a time expression that fits present, past or future."""
    kinds = ["month", "month", "date", "weekday", "part", "adverb", "adverb"]
    kinds += {"present": ["every"], "past": ["year", "last", "period"]}.get(
        tense, ["last", "period"]
    )
    match rng.choice(kinds):
        case "month":
            return month(sample_month(rng))
        case "date":
            return date(sample_month(rng), rng.randint(1, 28))
        case "weekday":
            return weekday(rng.choice(WEEKDAYS))
        case "part":
            return _day_part(rng)
        case "adverb":
            return rng.choice(_ADVERBS[tense])
        case "year":
            return year(rng.choice(YEARS))
        case "last":
            return relative_month(sample_month(rng), tense == "past")
        case "period":
            return _relative_period(rng, tense == "past")
        case _:
            return _every_day()
