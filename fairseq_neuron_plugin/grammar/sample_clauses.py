"""Random clauses."""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random

from .clause import (
    Adverbial,
    Clause,
    Coordination,
    Demonstrative,
    MonthPhrase,
    NounPhrase,
    Phrase,
    PrepPhrase,
    PronounPhrase,
    RelativePronoun,
)
from .closed_class import DETERMINERS, MODALS, PRONOUNS, SUBORDINATORS
from .lexicon import ADJECTIVES, BE, EXIST, FREQUENCY, MANNER, PLACE_ADVERBS, VERBS
from .sample_phrases import PhraseSampler, ambiguous_verb
from .times import sample_month
from .words import Adjective, Modal, Verb, Word

TENSES: tuple[str, ...] = ("present",) * 7 + ("past",) * 7 + ("future",) * 2
_AMBIGUOUS_WEIGHT = 3
_FRAMES = ("intr", "trans", "ditrans", "clause", "ask", "to", "weather")
_BY_FRAME: dict[str, tuple[Verb, ...]] = {
    frame: tuple(
        verb
        for verb in VERBS
        if verb.frame == frame
        for _ in range(_AMBIGUOUS_WEIGHT if ambiguous_verb(verb) else 1)
    )
    for frame in _FRAMES
}


def subordinator(german: str, english: str = "") -> Word:
    """Return the subordinator with this German form (and English form, if given)."""
    found = [w for w in SUBORDINATORS if w.german == german and english in ("", w.english)]
    return found[0]


def _universal(phrase: Phrase) -> bool:
    """Return whether the phrase quantifies (every, all, no) and so takes no negation."""
    if not isinstance(phrase, NounPhrase) or phrase.determiner is None:
        return False
    return phrase.determiner.sem in ("AND", "NOT")


@dataclass(frozen=True, slots=True)
class ClauseSampler:
    """Draws clauses from one random source."""

    rng: Random
    phrases: PhraseSampler

    def chance(self, probability: float) -> bool:
        """Return True with the given probability."""
        return self.phrases.chance(probability)

    # Clauses around a full verb.

    def _verb_clause(self, frame: str, tense: str, subject: Phrase | None = None) -> Clause:
        """Draw subject, verb, tense and negation; objects come later."""
        verb = self.rng.choice(_BY_FRAME[frame])
        if "stative" in verb.flags and tense.endswith("progressive"):
            tense = "past" if tense.startswith("past") else "present"
        modal = self._modal(verb, tense)
        polarity = self._polarity(tense, modal)
        if subject is None:
            scope = "any" if polarity == "positive" else "negatable"
            subject = self.phrases.subject(verb.subjects, scope)
        frequency = None
        plain = tense in ("present", "past", "future") and not _universal(subject)
        if plain and polarity == "positive" and self.chance(0.06):
            frequency = self.rng.choice(FREQUENCY)
        return Clause(subject, verb, tense, modal, polarity, frequency=frequency)

    def _modal(self, verb: Verb, tense: str) -> Modal | None:
        if "stative" in verb.flags:
            return None
        if tense == "past" and self.chance(0.14):
            return MODALS[self.rng.choice(("can", "want"))]
        if tense == "present" and self.chance(0.32):
            return MODALS[self.rng.choice(("can", "may", "may", "must", "want", "want"))]
        return None

    def _polarity(self, tense: str, modal: Modal | None) -> str:
        # "must not" and "muss nicht" differ in meaning.
        if modal is not None and modal.name == "must":
            return "positive"
        draw = self.rng.random()
        if draw < 0.13:
            return "not"
        simple = modal is None and tense in ("present", "past", "perfect")
        return "never" if draw < 0.17 and simple else "positive"

    def _scope(self, clause: Clause) -> str:
        plain = clause.polarity == "positive" and clause.frequency is None
        return "any" if plain and not _universal(clause.subject) else "negatable"

    def intransitive(self, tense: str, subject: Phrase | None = None) -> Clause:
        """Draw a clause without object."""
        clause = self._verb_clause("intr", tense, subject)
        return replace(clause, manner=self._manner(0.2), places=self._places(clause))

    def transitive(self, tense: str, subject: Phrase | None = None) -> Clause:
        """Draw a clause with an object."""
        clause = self._verb_clause("trans", tense, subject)
        thing = self.phrases.object(clause.verb.objects, clause.subject, self._scope(clause))
        active = "stative" not in clause.verb.flags
        manner = self._manner(0.08) if active else None
        places = self._places(clause) if active and self.chance(0.5) else ()
        return replace(clause, object=thing, manner=manner, places=places)

    def ditransitive(self, tense: str, subject: Phrase | None = None) -> Clause:
        """Draw a clause with direct and indirect object."""
        clause = self._verb_clause("ditrans", tense, subject)
        recipient = self.phrases.object(("person",), clause.subject, "definite")
        if isinstance(recipient, Coordination):
            recipient = self.phrases.noun_phrase(("person",), "definite")
        thing = self.phrases.noun_phrase(clause.verb.objects, self._scope(clause))
        after = clause.verb.english.base != "promise" and self.chance(0.45)
        return replace(clause, object=thing, recipient=recipient, recipient_after=after)

    def _manner(self, rate: float) -> Word | None:
        return self.rng.choice(MANNER) if self.chance(rate) else None

    def _places(self, clause: Clause) -> tuple[PrepPhrase | Word, ...]:
        places: list[PrepPhrase | Word] = []
        if self.chance(0.1):
            role = "likeness" if self.chance(0.5) and clause.polarity != "not" else "company"
            places.append(self.phrases.prepositional(role))
        if "motion" in clause.verb.flags:
            return (*places, self.phrases.prepositional("goal"))
        if self.chance(0.3):
            places.append(self._place())
        return tuple(places)

    def _place(self) -> PrepPhrase | Word:
        if self.chance(0.15):
            return self.rng.choice(PLACE_ADVERBS)
        return self.phrases.prepositional("place")

    # Clauses around the copula.

    def _copula_polarity(self) -> str:
        return "not" if self.chance(0.15) else "positive"

    def attribute(self, tense: str, subject: Phrase | None = None) -> Clause:
        """Draw "the dog is old" or "Anna is in the garden"."""
        tense = tense if tense in ("past", "future") else "present"
        polarity = self._copula_polarity()
        if subject is None:
            first = self.rng.choice([a for a in ADJECTIVES if not a.attributive_only])
            kinds = tuple(kind for kind in first.kinds if kind != "month")
            subject = self.phrases.subject(kinds, "any" if polarity == "positive" else "definite")
        kind = subject.noun.kind if isinstance(subject, NounPhrase | RelativePronoun) else ""
        if isinstance(subject, Coordination) and isinstance(subject.first, NounPhrase):
            kind = subject.first.noun.kind
        clause = Clause(subject, BE, tense, None, polarity)
        if kind in ("", "person", "animal") and self.chance(0.25):
            return replace(clause, places=(self._place(),))
        used = subject.adjectives if isinstance(subject, NounPhrase) else ()
        return self._predicate(clause, kind or "person", used)

    def _predicate(self, clause: Clause, kind: str, used: tuple[Adjective, ...]) -> Clause:
        """Add one or two adjectives that fit the kind and that the subject does not bear."""
        fitting = [
            adjective
            for adjective in ADJECTIVES
            if kind in adjective.kinds and adjective not in used and not adjective.attributive_only
        ]
        if not fitting:
            return replace(clause, places=(self._place(),))
        count = 2 if len(fitting) > 1 and self.chance(0.1) else 1
        predicate = tuple(self.rng.sample(fitting, count))
        intensified = count == 1 and predicate[0].sem == "DEG" and self.chance(0.25)
        if clause.polarity != "positive":
            predicate = predicate[:1]
        return replace(clause, predicate=predicate, intensified=intensified)

    def month_attribute(self, tense: str) -> Clause:
        """Draw "March was cold"."""
        subject = MonthPhrase(sample_month(self.rng))
        tense = tense if tense in ("past", "future") else "present"
        clause = Clause(subject, BE, tense, None, self._copula_polarity())
        return self._predicate(clause, "month", ())

    def identity(self, tense: str) -> Clause:
        """Draw "that is a good teacher"."""
        kinds = ("person", "animal", "thing", "text", "plant", "place", "abstract", "food")
        noun = self.phrases.noun(kinds)
        words = ("the",) if noun.mass else ("a", "a", "the", "my", "her", "our")
        determiner = DETERMINERS[self.rng.choice(words)]
        modifiers = self.phrases.modifiers(noun.kind)
        thing = NounPhrase(noun, "Sing", determiner, None, *modifiers)
        tense = tense if tense == "past" else "present"
        subject = Demonstrative(proximal=self.chance(0.35))
        return Clause(subject, BE, tense, None, self._copula_polarity(), thing)

    def existence(self, tense: str) -> Clause:
        """Draw "there is a dog in the garden"."""
        kinds = ("person", "animal", "thing", "plant", "text", "drink", "food")
        thing = self.phrases.noun_phrase(kinds, "indefinite")
        if thing.determiner == DETERMINERS["a"] and self.chance(0.15):
            thing = replace(thing, determiner=DETERMINERS["no"])
        tense = tense if tense in ("past", "future") else "present"
        places = (self._place(),) if self.chance(0.8) else ()
        return Clause(PronounPhrase(PRONOUNS["it"]), EXIST, tense, object=thing, places=places)

    def weather(self, tense: str) -> Clause:
        """Draw "it rained"."""
        verb = self.rng.choice(_BY_FRAME["weather"])
        subject = PronounPhrase(PRONOUNS["it"])
        return Clause(subject, verb, tense, polarity=self._copula_polarity())

    # Clauses with clauses in them.

    def embedded(self, tense: str, subject: Phrase | None = None) -> Clause:
        """Draw a short clause for a subordinate position."""
        draw = self.rng.random()
        if draw < 0.1 and subject is None:
            return self.weather(tense)
        if draw < 0.35:
            return self.attribute(tense, subject)
        return (self.intransitive if draw < 0.6 else self.transitive)(tense, subject)

    def reported(self, tense: str) -> Clause:
        """Draw "she knows that ..." or "she asks if ..."."""
        asks = self.chance(0.25)
        clause = self._verb_clause("ask" if asks else "clause", tense)
        if clause.polarity == "never":
            clause = replace(clause, polarity="positive")
        if clause.tense == "future":
            clause = replace(clause, tense="present", modal=None)
        word = subordinator("ob") if asks else subordinator("dass")
        complement = Adverbial(word, self.embedded(self.rng.choice(TENSES)))
        return replace(clause, complement=complement)

    def trying(self, tense: str) -> Clause:
        """Draw "she tries to open the door"."""
        clause = self._verb_clause("to", tense)
        return replace(clause, infinitive=self.goal(clause.subject))

    def goal(self, subject: Phrase) -> Clause:
        """Draw what follows "tries to" or states a purpose."""
        while True:
            draw = self.transitive if self.chance(0.65) else self.intransitive
            inner = draw("future", subject)
            if "stative" not in inner.verb.flags:
                return replace(inner, polarity="positive", frequency=None)

    def relative(self, phrase: Phrase | None) -> Phrase | None:
        """Return the phrase, sometimes with a relative clause added."""
        if not isinstance(phrase, NounPhrase) or phrase.noun.kind not in ("person", "animal"):
            return phrase
        if phrase.of is not None or phrase.interrogative or not self.chance(0.08):
            return phrase
        subject = RelativePronoun(phrase.noun, phrase.number)
        clause = self.embedded(self.rng.choice(("present", "past")), subject)
        fits = clause.verb == BE or phrase.noun.kind in clause.verb.subjects
        return replace(phrase, relative=clause) if fits else phrase
