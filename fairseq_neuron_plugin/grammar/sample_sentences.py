"""Random sentences: statements, questions and coordinated clauses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random

from .clause import (
    Adverbial,
    Clause,
    Demonstrative,
    FixedPhrase,
    MonthPhrase,
    NounPhrase,
    Phrase,
    PrepPhrase,
    Question,
    Sentence,
)
from .closed_class import DETERMINERS, QUESTION_ADVERBS
from .sample_clauses import TENSES, ClauseSampler, subordinator
from .sample_phrases import PhraseSampler
from .times import sample_time

_ALL_TENSES = (*TENSES * 2, *("progressive",) * 3, "past-progressive", *("perfect",) * 3)
# (subordinator, tense of the main clause, tense of the subordinate clause)
_TENSE_PAIRS = (
    ("weil", "present", "present"),
    ("weil", "past", "past"),
    ("weil", "future", "present"),
    ("wenn when", "present", "present"),
    ("wenn when", "future", "present"),
    ("als", "past", "past"),
    ("wenn if", "future", "present"),
    ("wenn if", "present", "present"),
    ("obwohl", "present", "present"),
    ("obwohl", "past", "past"),
    ("bevor", "past", "past"),
    ("bevor", "present", "present"),
)


@dataclass(frozen=True, slots=True)
class SentenceSampler:
    """Draws sentences from one random source."""

    rng: Random
    phrases: PhraseSampler
    clauses: ClauseSampler

    def chance(self, probability: float) -> bool:
        """Return True with the given probability."""
        return self.phrases.chance(probability)

    def _kernel(self) -> Clause:
        tense = self.rng.choice(_ALL_TENSES)
        draw = self.clauses
        makers: tuple[Callable[[str], Clause], ...] = (
            draw.intransitive, draw.transitive, draw.ditransitive, draw.attribute,
            draw.identity, draw.existence, draw.reported, draw.trying, draw.weather,
            draw.month_attribute,
        )  # fmt: skip
        weights = (22, 36, 7, 11, 5, 4, 8, 5, 2, 2)
        clause = self.rng.choices(makers, weights)[0](tense)
        if clause.verb.frame == "trans":
            return replace(clause, object=self.clauses.relative(clause.object))
        if clause.verb.frame == "intr":
            subject = self.clauses.relative(clause.subject)
            return replace(clause, subject=subject or clause.subject)
        return clause

    def _with_time(self, clause: Clause) -> Clause:
        if clause.tense == "perfect" or isinstance(clause.subject, MonthPhrase | Demonstrative):
            return clause
        time: FixedPhrase | PrepPhrase
        if clause.tense != "progressive" and self.chance(0.14):
            time = self.phrases.prepositional("time")
        else:
            tense = "past" if clause.tense.startswith("past") else clause.tense
            tense = "future" if clause.modal is not None and tense != "past" else tense
            time = sample_time(self.rng, "present" if tense == "progressive" else tense)
        first = self.chance(0.35) and clause.verb.frame != "exist"
        return replace(clause, time=time, time_first=first)

    def _with_adverbial(self, clause: Clause) -> Clause:
        fitting = [pair for pair in _TENSE_PAIRS if pair[1] == clause.tense]
        if not fitting:
            return clause
        name, _, tense = self.rng.choice(fitting)
        word = subordinator(*name.split())
        fronted = self.chance(0.35) and word.german != "weil"
        inner = self.clauses.embedded(tense)
        if word.german == "bevor":
            # A negated "bevor" would read as "unless".
            inner = replace(inner, polarity="positive")
        return replace(clause, adverbial=Adverbial(word, inner, fronted))

    def statement(self) -> Clause:
        """Draw a main clause with time, purpose or a subordinate clause."""
        clause = self._kernel()
        complex_ = clause.complement is not None or clause.infinitive is not None
        if not complex_ and self.chance(0.3):
            return self._with_time(clause)
        if "motion" in clause.verb.flags and self.chance(0.3):
            return replace(clause, purpose=self.clauses.goal(clause.subject))
        if not complex_ and self.chance(0.16):
            return self._with_adverbial(clause)
        return clause

    def question(self) -> Clause:
        """Draw a yes/no question or one with a question word."""
        clause = self._kernel()
        while clause.polarity == "never" or isinstance(clause.subject, MonthPhrase):
            clause = self._kernel()
        clause = replace(clause, question=True)
        kind = self.rng.choice(("polar", "polar", "adverb", "subject", "object", "object"))
        if kind == "adverb" and clause.verb.frame in ("intr", "trans", "ditrans"):
            return self._adverb_question(clause)
        if kind == "subject" and clause.verb.frame in ("intr", "trans", "ditrans"):
            return replace(clause, subject=self._asked(clause.verb.subjects, 0.6))
        if kind == "object" and clause.verb.frame == "trans":
            return replace(clause, object=self._asked(clause.verb.objects, 0.4))
        if clause.complement is not None or clause.infinitive is not None or self.chance(0.8):
            return clause
        if self.chance(0.5):
            return replace(self._with_time(clause), time_first=False)
        clause = self._with_adverbial(clause)
        if clause.adverbial is None:
            return clause
        return replace(clause, adverbial=replace(clause.adverbial, fronted=False))

    def _asked(self, kinds: tuple[str, ...], bare: float) -> Phrase:
        if self.chance(bare):
            return Question(person="person" in kinds)
        noun = self.phrases.noun(kinds)
        if noun.mass or self.chance(0.6):
            return NounPhrase(noun, "Sing", DETERMINERS["which"])
        return NounPhrase(noun, "Plur", how_many=True)

    def _adverb_question(self, clause: Clause) -> Clause:
        word = self.rng.choice(QUESTION_ADVERBS)
        if word.english == "where":
            if "motion" in clause.verb.flags:
                return clause
            clause = replace(clause, places=())
        if word.english == "how":
            clause = replace(clause, manner=None, polarity="positive")
        return replace(clause, question_adverb=word, frequency=None)

    def sentence(self) -> Sentence:
        """Draw a sentence."""
        draw = self.rng.random()
        if draw < 0.17:
            return Sentence(self.question())
        if draw < 0.23:
            tense = self.rng.choice(TENSES)
            return Sentence(
                self.clauses.embedded(tense), self.clauses.embedded(tense), self.chance(0.6)
            )
        clause = self.statement()
        opening = ""
        if self.chance(0.05) and clause.polarity != "never":
            opening = "no" if clause.polarity == "not" or self.chance(0.6) else "yes"
        return Sentence(clause, opening=opening)
