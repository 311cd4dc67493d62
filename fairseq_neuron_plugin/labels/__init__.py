"""Labels for the words of an activation store: of a file, or of a property that words show.

Either way one for each word, checked against the words.
"""

from .conllu import CONLLU_COLUMNS
from .files import FORMATS, read_labels
from .lexicon import lexicon_labels
from .months import month_labels
from .properties import (
    PROPERTIES,
    position_labels,
    property_labels,
    regex_labels,
    register_property,
)
from .types import ABSENT, UNKNOWN, Labels, Sentences

__all__ = [
    "ABSENT",
    "CONLLU_COLUMNS",
    "FORMATS",
    "PROPERTIES",
    "UNKNOWN",
    "Labels",
    "Sentences",
    "lexicon_labels",
    "month_labels",
    "position_labels",
    "property_labels",
    "read_labels",
    "regex_labels",
    "register_property",
]
