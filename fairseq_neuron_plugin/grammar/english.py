"""English clauses: agreement, auxiliaries, do-support, question order."""

from __future__ import annotations

from dataclasses import dataclass, replace

from .clause import Clause, FixedPhrase, NounPhrase, Phrase, Sentence, agreement, interrogative
from .english_phrases import (
    AND,
    TO,
    adjectives,
    realise_phrase,
    realise_prepositional,
    word,
)
from .tags import Token, make, punctuation
from .words import EnglishVerb

NOT = make("not", "PART", "NOT", Polarity="Neg")
NEVER = make("never", "ADV", "NOT", Polarity="Neg")
COMMA = punctuation(",")
_BE = {"Pres": {"1Sing": "am", "3Sing": "is"}, "Past": {"1Sing": "was", "3Sing": "was"}}


@dataclass(frozen=True, slots=True)
class _VerbGroup:
    """An optional auxiliary, which questions invert, and the rest."""

    auxiliary: Token | None
    rest: tuple[Token, ...]


def _finite(form: str, pos: str, sem: str, tense: str, subject: Phrase) -> Token:
    person, number = agreement(subject)
    return make(form, pos, sem, Tense=tense, Number=number, Person=str(person))


def _be(tense: str, subject: Phrase) -> Token:
    person, number = agreement(subject)
    form = _BE[tense].get(f"{person}{number}", "are" if tense == "Pres" else "were")
    return _finite(form, "AUX", "NOW" if tense == "Pres" else "PST", tense, subject)


def _auxiliary(verb: tuple[str, str, str], tense: str, subject: Phrase) -> Token:
    """Return do or have from its plural, third person and past forms."""
    plain, third, past = verb
    form = third if agreement(subject) == (3, "Sing") else plain
    if tense == "Past":
        return _finite(past, "AUX", "PST", tense, subject)
    return _finite(form, "AUX", "NOW", tense, subject)


def _simple(verb: EnglishVerb, tense: str, subject: Phrase) -> Token:
    if tense == "Past":
        return _finite(verb.past, "VERB", "EPS", tense, subject)
    form = verb.third if agreement(subject) == (3, "Sing") else verb.base
    return _finite(form, "VERB", "ENS", tense, subject)


def _base(clause: Clause) -> Token:
    if clause.verb.frame in ("copula", "exist"):
        return make("be", "AUX", "NIL", VerbForm="Inf")
    return make(clause.verb.english.base, "VERB", "EXS", VerbForm="Inf")


def _needs_do(clause: Clause) -> bool:
    asks = clause.question and not interrogative(clause.subject)
    return asks or clause.polarity == "not"


def _want(clause: Clause, subject: Phrase) -> _VerbGroup:
    verb = EnglishVerb("want", "wants", "wanted", "wanted", "wanting")
    tense = "Past" if clause.tense == "past" else "Pres"
    rest = (TO, _base(clause))
    if _needs_do(clause):
        do = _auxiliary(("do", "does", "did"), tense, subject)
        return _VerbGroup(do, (make("want", "VERB", "EXS", VerbForm="Inf"), *rest))
    return _VerbGroup(None, (_simple(verb, tense, subject), *rest))


def _verb_group(clause: Clause, subject: Phrase) -> _VerbGroup:
    verb = clause.verb.english
    tense = "Past" if clause.tense.startswith("past") else "Pres"
    if clause.modal is not None:
        if clause.modal.name == "want":
            return _want(clause, subject)
        form = clause.modal.english[tense == "Past"]
        modal = make(form, "AUX", clause.modal.sem, Tense=tense)
        return _VerbGroup(modal, (_base(clause),))
    if clause.tense == "future":
        return _VerbGroup(make("will", "AUX", "FUT"), (_base(clause),))
    if clause.tense == "perfect":
        have = _auxiliary(("have", "has", "had"), "Pres", subject)
        perfect = make(verb.participle, "VERB", "EXT", VerbForm="Part", Tense="Past")
        return _VerbGroup(have, (perfect,))
    if clause.verb.frame in ("copula", "exist"):
        return _VerbGroup(_be(tense, subject), ())
    if clause.tense.endswith("progressive"):
        gerund = make(verb.gerund, "VERB", "EXG", VerbForm="Part", Tense="Pres")
        return _VerbGroup(_be(tense, subject), (gerund,))
    if _needs_do(clause):
        do = _auxiliary(("do", "does", "did"), tense, subject)
        return _VerbGroup(do, (_base(clause),))
    return _VerbGroup(None, (_simple(verb, tense, subject),))


def _with_relative(phrase: Phrase, case: str) -> list[Token]:
    tokens = realise_phrase(phrase, case)
    if isinstance(phrase, NounPhrase) and phrase.relative is not None:
        tokens += _clause(phrase.relative)
    return tokens


def _objects(clause: Clause) -> list[Token]:
    thing: list[Token] = []
    if clause.object is not None and not interrogative(clause.object):
        thing = _with_relative(clause.object, "Acc")
    if clause.recipient is None:
        return thing
    recipient = realise_phrase(clause.recipient, "Acc")
    if clause.recipient_after or interrogative(clause.object):
        return [*thing, make("to", "ADP", "REL"), *recipient]
    return [*recipient, *thing]


def _after_verb(clause: Clause) -> list[Token]:
    """Return all that follows the verb group."""
    tokens = [] if clause.verb.frame == "exist" else _objects(clause)
    tokens += adjectives(clause.predicate[:1], clause.intensified)
    if len(clause.predicate) > 1:
        tokens += [AND, *adjectives(clause.predicate[1:], False)]
    if clause.manner is not None:
        tokens.append(word(clause.manner))
    for place in clause.places:
        tokens += realise_prepositional(place)
    if not clause.time_first:
        tokens += _time(clause)
    if clause.complement is not None:
        tokens += [word(clause.complement.subordinator), *_clause(clause.complement.clause)]
    for infinitive in (clause.infinitive, clause.purpose):
        if infinitive is not None:
            tokens += [TO, _base(infinitive), *_after_verb(infinitive)]
    return tokens


def _time(clause: Clause) -> list[Token]:
    if clause.time is None:
        return []
    if isinstance(clause.time, FixedPhrase):
        return list(clause.time.english)
    return realise_prepositional(clause.time)


def _middle(clause: Clause) -> list[Token]:
    tokens = [NOT] if clause.polarity == "not" else []
    if clause.polarity == "never":
        tokens.append(NEVER)
    if clause.frequency is not None:
        tokens.append(word(clause.frequency))
    return tokens


def _core(clause: Clause) -> list[Token]:
    """Return subject, verb and the rest, inverted in questions."""
    if clause.verb.frame == "exist" and clause.object is not None:
        group = _verb_group(clause, clause.object)
        subject = [make("there", "PRON", "NIL")]
        rest = [*group.rest, *_with_relative(clause.object, "Acc")]
    else:
        group = _verb_group(clause, clause.subject)
        subject, rest = _with_relative(clause.subject, "Nom"), list(group.rest)
    rest = [*_middle(clause), *rest, *_after_verb(clause)]
    if group.auxiliary is None:
        return [*subject, *rest]
    if clause.question and not interrogative(clause.subject):
        return [group.auxiliary, *subject, *rest]
    return [*subject, group.auxiliary, *rest]


def _clause(clause: Clause) -> list[Token]:
    """Return a clause with its fronted parts and adverbial clause."""
    tokens: list[Token] = []
    if clause.question_adverb is not None:
        tokens.append(word(clause.question_adverb))
    if clause.object is not None and interrogative(clause.object):
        tokens += realise_phrase(clause.object, "Acc")
    if clause.time_first:
        time = _time(clause)
        # A lone adverb needs no comma: "Yesterday she slept".
        tokens += time if len(time) == 1 else [*time, COMMA]
    tokens += _core(clause)
    if clause.adverbial is not None:
        inner = [word(clause.adverbial.subordinator), *_clause(clause.adverbial.clause)]
        tokens = [*inner, COMMA, *tokens] if clause.adverbial.fronted else [*tokens, *inner]
    return tokens


def realise_english(sentence: Sentence) -> tuple[Token, ...]:
    """Return the English tokens of a sentence, capitalised and with final punctuation."""
    tokens = _clause(sentence.first)
    if sentence.second is not None:
        joint = make("but", "CCONJ", "BUT") if sentence.contrast else make("and", "CCONJ", "COO")
        tokens += [COMMA, joint, *_clause(sentence.second)]
    if sentence.opening:
        sem = "NOT" if sentence.opening == "no" else "ITJ"
        tokens = [make(sentence.opening, "INTJ", sem), COMMA, *tokens]
    tokens.append(punctuation("?" if sentence.first.question else "."))
    first = tokens[0]
    tokens[0] = replace(first, form=first.form[0].upper() + first.form[1:])
    return tuple(tokens)
