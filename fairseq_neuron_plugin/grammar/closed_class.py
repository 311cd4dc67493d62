"""Closed-class words: determiners, pronouns, names, prepositions, modals, time words."""

from __future__ import annotations

from .words import Determiner, Modal, Name, Preposition, Pronoun, Word, german_verb, rows

# English singular, plural | German stem, paradigm, semantic tag | features
_DETERMINERS = """
the the | d definite DEF | Definite=Def,PronType=Art
a - | ein ein DIS | Definite=Ind,PronType=Art
this these | dies der PRX | PronType=Dem
that those | jen der DST | PronType=Dem
every - | jed der AND | PronType=Tot
which which | welch der QUE | PronType=Int
no no | kein ein NOT | PronType=Neg
- all | all der AND | PronType=Tot
- some | einig plural DIS | PronType=Ind
- many | viel plural QUV | PronType=Ind
my my | mein ein HAS | PronType=Prs,Poss=Yes
your your | dein ein HAS | PronType=Prs,Poss=Yes
his his | sein ein HAS | PronType=Prs,Poss=Yes
her her | ihr ein HAS | PronType=Prs,Poss=Yes
our our | unser ein HAS | PronType=Prs,Poss=Yes
their their | ihr ein HAS | PronType=Prs,Poss=Yes
"""

# English subject, object | German nominative, accusative, dative | person number gender
_PRONOUNS = """
I me | ich mich mir | 1 Sing -
you you | du dich dir | 2 Sing -
he him | er ihn ihm | 3 Sing Masc
she her | sie sie ihr | 3 Sing Fem
it it | es es ihm | 3 Sing Neut
we us | wir uns uns | 1 Plur -
they them | sie sie ihnen | 3 Plur -
"""

_NAMES = """
Anna Anna Fem PER
Maria Maria Fem PER
Lisa Lisa Fem PER
Julia Julia Fem PER
Peter Peter Masc PER
Paul Paul Masc PER
Martin Martin Masc PER
Tom Tom Masc PER
Berlin Berlin Neut GPE
London London Neut GPE
Paris Paris Neut GPE
Vienna Wien Neut GPE
Rome Rom Neut GPE
"""

# English, German, case | role | kinds of noun
_PREPOSITIONS = """
in in Dat | place | place,city
near bei Dat | place | place,landmark
behind hinter Dat | place | place,plant,landmark
on auf Dat | surface | surface
to zu Dat | goal | place,landmark
to nach Dat | goal | city
into in Acc | goal | place
from aus Dat | goal | place,city
through durch Acc | goal | place,city
with mit Dat | company | person,animal
with mit Dat | company | person
without ohne Acc | company | person
for für Acc | company | person
like wie Nom | likeness | person,animal
before vor Dat | time | event,show
after nach Dat | time | event,show
during während Gen | time | event,show
"""

_MONTHS = """
January Januar
February Februar
March März
April April
May Mai
June Juni
July Juli
August August
September September
October Oktober
November November
December Dezember
"""

_WEEKDAYS = """
Monday Montag
Tuesday Dienstag
Wednesday Mittwoch
Thursday Donnerstag
Friday Freitag
Saturday Samstag
Sunday Sonntag
"""

_NUMERALS = """
two zwei
three drei
four vier
five fünf
six sechs
seven sieben
eight acht
nine neun
ten zehn
eleven elf
twelve zwölf
20 20
50 50
100 100
"""

_SUBORDINATORS = """
that dass SCONJ SUB
if ob SCONJ SUB
because weil SCONJ SUB
when wenn SCONJ IMP
when als SCONJ SUB
if wenn SCONJ IMP
although obwohl SCONJ BUT
before bevor SCONJ SUB
"""

_QUESTION_ADVERBS = """
where wo ADV QUE
when wann ADV QUE
why warum ADV QUE
how wie ADV QUE
"""


def _pairs(table: str) -> tuple[tuple[str, str], ...]:
    return tuple((row[0], row[1]) for row in rows(table))


def _determiner(row: list[str]) -> Determiner:
    features = [part.split("=") for part in row[5].split(",")]
    pairs = tuple((name, value) for name, value in features)
    return Determiner(row[0], row[1], row[2], row[3], row[4], pairs)


def _pronoun(row: list[str]) -> Pronoun:
    return Pronoun(
        row[0], row[1], row[2], row[3], row[4], int(row[5]), row[6], row[7].replace("-", "")
    )


_ALL_DETERMINERS = [_determiner(row) for row in rows(_DETERMINERS)]

# The English form names a determiner: the plural one where there is no singular.
DETERMINERS: dict[str, Determiner] = {
    d.plural if d.singular == "-" else d.singular: d for d in _ALL_DETERMINERS
}
POSSESSIVES: tuple[str, ...] = ("my", "your", "his", "her", "our", "their")
PRONOUNS: dict[str, Pronoun] = {row[0]: _pronoun(row) for row in rows(_PRONOUNS)}
NAMES: tuple[Name, ...] = tuple(Name(*row) for row in rows(_NAMES))
PREPOSITIONS: tuple[Preposition, ...] = tuple(
    Preposition(row[0], row[1], row[2], row[3], tuple(row[4].split(",")))
    for row in rows(_PREPOSITIONS)
)
MONTHS: tuple[tuple[str, str], ...] = _pairs(_MONTHS)
WEEKDAYS: tuple[tuple[str, str], ...] = _pairs(_WEEKDAYS)
NUMERALS: tuple[tuple[str, str], ...] = _pairs(_NUMERALS)
YEARS: tuple[str, ...] = ("1948", "1969", "1987", "1998", "2004", "2012", "2016")
SUBORDINATORS: tuple[Word, ...] = tuple(Word(*row) for row in rows(_SUBORDINATORS))
QUESTION_ADVERBS: tuple[Word, ...] = tuple(Word(*row) for row in rows(_QUESTION_ADVERBS))

MODALS: dict[str, Modal] = {
    modal.name: modal
    for modal in (
        Modal(
            "can",
            ("can", "could"),
            german_verb("können", "kann/kannst/kann", "konnte", "gekonnt", "haben"),
            "POS",
        ),
        Modal(
            "may",
            ("may", "-"),
            german_verb("dürfen", "darf/darfst/darf", "durfte", "gedurft", "haben"),
            "POS",
        ),
        Modal(
            "must",
            ("must", "-"),
            german_verb("müssen", "muss/musst/muss", "musste", "gemusst", "haben"),
            "NEC",
        ),
        # Its English side is a full verb with an infinitive, its German side a modal.
        Modal(
            "want",
            ("want", "wanted"),
            german_verb("wollen", "will/willst/will", "wollte", "gewollt", "haben"),
            "ENS",
        ),
    )
}
WERDEN = german_verb("werden", "wirst/wird", "wurde", "geworden", "sein")
HABEN = german_verb("haben", "habe/hast/hat", "hatte", "gehabt", "haben")
