"""Tag inventories of the gold annotation, and the one way to build a token.

Parts of speech are those of Universal Dependencies.  Possessives ("my",
"mein") are tagged DET on both sides, as UD leaves that choice to the language.
Semantic tags are those of the Parallel Meaning Bank's universal tagset, as far
as this grammar needs them.
"""

from __future__ import annotations

from dataclasses import dataclass

UPOS: dict[str, str] = {
    "ADJ": "adjective",
    "ADP": "adposition",
    "ADV": "adverb",
    "AUX": "auxiliary, copula or modal",
    "CCONJ": "coordinating conjunction",
    "DET": "determiner",
    "INTJ": "interjection",
    "NOUN": "noun",
    "NUM": "numeral",
    "PART": "particle (not, infinitival to and zu, possessive 's, separated verb prefix)",
    "PRON": "pronoun",
    "PROPN": "proper noun",
    "PUNCT": "punctuation",
    "SCONJ": "subordinating conjunction",
    "VERB": "verb",
}

SEM_TAGS: dict[str, str] = {
    "AND": "conjunction and universal quantification (and, every, all, always)",
    "BUT": "contrast (but, although)",
    "CON": "concept (dog)",
    "COO": "coordination of clauses (and)",
    "DEF": "definite (the)",
    "DEG": "degree adjective (old)",
    "DIS": "disjunction and existential quantification (a, some, or)",
    "DOM": "day of month (3)",
    "DOW": "day of week (Monday)",
    "DST": "distal (that)",
    "DXP": "deixis of place (here)",
    "DXT": "deixis of time (yesterday)",
    "ENS": "event, present simple (walks)",
    "EPS": "event, past simple (walked)",
    "EXG": "event, untensed progressive (walking)",
    "EXS": "event, untensed simple (walk)",
    "EXT": "event, untensed perfect (walked, after has)",
    "FUT": "future (will)",
    "GPE": "geo-political entity (Berlin)",
    "HAS": "possessive (my)",
    "IMP": "implication (if, when)",
    "INT": "intensifier (very)",
    "IST": "intersective (red, quickly)",
    "ITJ": "interjection (yes)",
    "MOY": "month of year (March)",
    "NEC": "necessity (must)",
    "NIL": "empty semantics (punctuation, infinitival to)",
    "NOT": "negation (not, no, never)",
    "NOW": "present tense (is, does, has)",
    "PER": "person (Anna)",
    "POS": "possibility (can, may)",
    "PRO": "pronoun (she)",
    "PRX": "proximal (this)",
    "PST": "past tense (was, did)",
    "QUC": "concrete quantity (two)",
    "QUE": "interrogative (who)",
    "QUV": "vague quantity (many, often)",
    "REL": "relation (in, of, 's)",
    "ROL": "role (teacher)",
    "SUB": "subordinate relation (that, because)",
    "YOC": "year of century (1998)",
}

# Every morphological tag lists its attributes in this order.
FEATURE_ORDER: tuple[str, ...] = (
    "VerbForm",
    "Tense",
    "Case",
    "Gender",
    "Number",
    "Person",
    "Degree",
    "Definite",
    "PronType",
    "Poss",
    "NumType",
    "Polarity",
)


@dataclass(frozen=True, slots=True)
class Token:
    """A word form with its part of speech, morphological and semantic tag."""

    form: str
    pos: str
    morph: str
    sem: str


@dataclass(frozen=True, slots=True)
class Pair:
    """An English sentence and its German translation."""

    english: tuple[Token, ...]
    german: tuple[Token, ...]


def make(form: str, pos: str, sem: str, **features: str) -> Token:
    """Return a token whose morphological tag lists `features` in the fixed order.

    Features with an empty value are left out.  Raises KeyError for an unknown
    part of speech, semantic tag or feature.
    """
    UPOS[pos], SEM_TAGS[sem]
    unknown = sorted(set(features) - set(FEATURE_ORDER))
    if unknown:
        raise KeyError(unknown[0])
    values = [f"{name}={features[name]}" for name in FEATURE_ORDER if features.get(name)]
    return Token(form, pos, "|".join([pos, *values]), sem)


def punctuation(form: str) -> Token:
    """Return a punctuation token."""
    return make(form, "PUNCT", "NIL")
