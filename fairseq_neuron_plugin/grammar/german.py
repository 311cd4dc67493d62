"""German clauses: verb-second, verb-first and verb-final order, negation, infinitives."""

from __future__ import annotations

from dataclasses import dataclass, replace

from .clause import (
    Adverbial,
    Clause,
    FixedPhrase,
    NounPhrase,
    Phrase,
    PronounPhrase,
    Sentence,
    agreement,
    interrogative,
)
from .closed_class import DETERMINERS, HABEN, WERDEN
from .german_phrases import predicate, realise_phrase, realise_prepositional, word
from .lexicon import BE
from .tags import Token, make, punctuation
from .words import GermanVerb

NOT = make("nicht", "PART", "NOT", Polarity="Neg")
NEVER = make("nie", "ADV", "NOT", Polarity="Neg")
TO = make("zu", "PART", "NIL")
COMMA = punctuation(",")


@dataclass(frozen=True, slots=True)
class _VerbGroup:
    """The finite verb, what closes the clause, and a separated prefix."""

    finite: Token
    final: tuple[Token, ...] = ()
    prefix: str = ""

    def separated(self) -> list[Token]:
        """Return what stands at the end of a clause whose finite verb has moved."""
        return [*self.final, *([make(self.prefix, "PART", "NIL")] if self.prefix else [])]

    def joined(self) -> list[Token]:
        """Return the verbs of a verb-final clause."""
        return [*self.final, replace(self.finite, form=self.prefix + self.finite.form)]


def _finite(verb: GermanVerb, tense: str, subject: Phrase, pos: str, sem: str) -> Token:
    person, number = agreement(subject)
    form = verb.finite(tense, person, number)
    return make(form, pos, sem, Tense=tense, Number=number, Person=str(person))


def _infinitive(clause: Clause) -> Token:
    verb = clause.verb.german
    pos, sem = ("AUX", "NIL") if clause.verb.frame == "copula" else ("VERB", "EXS")
    return make(verb.prefix + verb.infinitive, pos, sem, VerbForm="Inf")


def _verb_group(clause: Clause) -> _VerbGroup:
    verb, subject = clause.verb.german, clause.subject
    tense = "Past" if clause.tense.startswith("past") else "Pres"
    if clause.modal is not None:
        sem = clause.modal.sem
        if sem == "ENS" and tense == "Past":
            sem = "EPS"
        finite = _finite(clause.modal.german, tense, subject, "AUX", sem)
        return _VerbGroup(finite, (_infinitive(clause),))
    if clause.tense == "future":
        return _VerbGroup(_finite(WERDEN, "Pres", subject, "AUX", "FUT"), (_infinitive(clause),))
    if clause.tense == "perfect":
        auxiliary = BE.german if verb.auxiliary == "sein" else HABEN
        finite = _finite(auxiliary, "Pres", subject, "AUX", "NOW")
        participle = make(verb.participle, "VERB", "EXT", VerbForm="Part", Tense="Past")
        return _VerbGroup(finite, (participle,))
    if clause.verb.frame == "copula":
        sem = "NOW" if tense == "Pres" else "PST"
        return _VerbGroup(_finite(verb, tense, subject, "AUX", sem))
    sem = "ENS" if tense == "Pres" else "EPS"
    return _VerbGroup(_finite(verb, tense, subject, "VERB", sem), prefix=verb.prefix)


def _with_relative(phrase: Phrase, case: str) -> list[Token]:
    tokens = realise_phrase(phrase, case)
    if isinstance(phrase, NounPhrase) and phrase.relative is not None:
        tokens += [COMMA, *_verb_final(phrase.relative), COMMA]
    return tokens


def _object(clause: Clause) -> tuple[list[Token], bool]:
    """Return the object and whether it carries the negation itself (kein)."""
    phrase = clause.object
    if phrase is None or interrogative(phrase):
        return [], False
    case = "Nom" if clause.verb.frame == "copula" else clause.verb.object_case
    negates = clause.polarity == "not" and isinstance(phrase, NounPhrase) and phrase.indefinite
    if negates and isinstance(phrase, NounPhrase):
        phrase = replace(phrase, determiner=DETERMINERS["no"])
    return _with_relative(phrase, case), negates


def _objects(clause: Clause) -> list[Token]:
    """Return pronouns, time, objects and negation in the order of the middle field."""
    thing, negates = _object(clause)
    pronoun = isinstance(clause.object, PronounPhrase)
    recipient = realise_phrase(clause.recipient, "Dat") if clause.recipient is not None else []
    early = isinstance(clause.recipient, PronounPhrase)
    tokens = list(thing) if pronoun else []
    tokens += recipient if early else []
    if not clause.time_first:
        tokens += _time(clause)
    if clause.frequency is not None:
        tokens.append(word(clause.frequency))
    tokens += [] if early else recipient
    indefinite = isinstance(clause.object, NounPhrase) and clause.object.indefinite
    if clause.polarity == "never" and indefinite:
        tokens.append(NEVER)
    negation: list[Token] = []
    if clause.polarity == "never" and not indefinite:
        negation.append(NEVER)
    if clause.polarity == "not" and not negates:
        negation.append(NOT)
    thing = [] if pronoun else thing
    # A predicate noun follows "nicht", an object precedes it.
    copula = clause.verb.frame == "copula"
    return [*tokens, *negation, *thing] if copula else [*tokens, *thing, *negation]


def _middle(clause: Clause) -> list[Token]:
    """Return all between subject or finite verb and the end of the clause."""
    tokens = _objects(clause)
    tokens += predicate(clause.predicate, clause.intensified)
    if clause.manner is not None:
        tokens.append(word(clause.manner))
    for place in clause.places:
        tokens += realise_prepositional(place)
    return tokens


def _time(clause: Clause) -> list[Token]:
    if clause.time is None:
        return []
    if isinstance(clause.time, FixedPhrase):
        return list(clause.time.german)
    return realise_prepositional(clause.time)


def _subordinate(adverbial: Adverbial) -> list[Token]:
    return [word(adverbial.subordinator), *_verb_final(adverbial.clause)]


def _to_infinitive(clause: Clause) -> list[Token]:
    token = _infinitive(clause)
    prefix, bare = clause.verb.german.prefix, clause.verb.german.infinitive
    if prefix:
        return [*_middle(clause), replace(token, form=f"{prefix}zu{bare}")]
    return [*_middle(clause), TO, token]


def _after(clause: Clause) -> list[Token]:
    """Return the clauses that follow, each set off by commas."""
    tokens: list[Token] = []
    if clause.complement is not None:
        tokens += [COMMA, *_subordinate(clause.complement), COMMA]
    if clause.infinitive is not None:
        tokens += [COMMA, *_to_infinitive(clause.infinitive), COMMA]
    if clause.purpose is not None:
        tokens += [COMMA, make("um", "SCONJ", "SUB"), *_to_infinitive(clause.purpose), COMMA]
    if clause.adverbial is not None and not clause.adverbial.fronted:
        tokens += [COMMA, *_subordinate(clause.adverbial), COMMA]
    return tokens


def _verb_final(clause: Clause) -> list[Token]:
    subject = _with_relative(clause.subject, "Nom")
    return [*subject, *_middle(clause), *_verb_group(clause).joined(), *_after(clause)]


def _first_position(clause: Clause) -> list[Token]:
    """Return what precedes the finite verb instead of the subject, if anything."""
    if clause.question_adverb is not None:
        return [word(clause.question_adverb)]
    if clause.object is not None and interrogative(clause.object):
        return realise_phrase(clause.object, clause.verb.object_case)
    if clause.adverbial is not None and clause.adverbial.fronted:
        return [*_subordinate(clause.adverbial), COMMA]
    return _time(clause) if clause.time_first else []


def _main(clause: Clause) -> list[Token]:
    group = _verb_group(clause)
    first = _first_position(clause)
    subject = _with_relative(clause.subject, "Nom")
    rest = [*_middle(clause), *group.separated(), *_after(clause)]
    if first or (clause.question and not interrogative(clause.subject)):
        return [*first, group.finite, *subject, *rest]
    return [*subject, group.finite, *rest]


def _tidy(tokens: list[Token]) -> list[Token]:
    """Drop a comma that another punctuation mark follows."""
    following = [*tokens[1:], None]
    return [
        token
        for token, after in zip(tokens, following, strict=True)
        if not (token.form == "," and after is not None and after.pos == "PUNCT")
    ]


def realise_german(sentence: Sentence) -> tuple[Token, ...]:
    """Return the German tokens of a sentence, capitalised and with final punctuation."""
    tokens = _main(sentence.first)
    if sentence.second is not None:
        but = [COMMA, make("aber", "CCONJ", "BUT")]
        tokens += but if sentence.contrast else [make("und", "CCONJ", "COO")]
        tokens += _main(sentence.second)
    if sentence.opening:
        form, sem = ("nein", "NOT") if sentence.opening == "no" else ("ja", "ITJ")
        tokens = [make(form, "INTJ", sem), COMMA, *tokens]
    tokens.append(punctuation("?" if sentence.first.question else "."))
    tokens = _tidy(tokens)
    tokens[0] = replace(tokens[0], form=tokens[0].form[0].upper() + tokens[0].form[1:])
    return tuple(tokens)
