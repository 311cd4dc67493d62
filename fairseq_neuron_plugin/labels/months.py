"""Names of months in English, German and French (the paper's month property)."""

from __future__ import annotations

import unicodedata

from .by_word import label_by_word
from .types import ABSENT, Labels, Sentences

MONTH = "month"

# English and German write months with a capital.
_ENGLISH = "January February March April May June July August September October November December"
_GERMAN = (
    "Januar Jänner Februar Feber März April Mai Juni Juli August September Oktober November "
    "Dezember"
)
_ENGLISH_SHORT = "Jan Feb Mar Apr Jun Jul Aug Sep Sept Oct Nov Dec"
_GERMAN_SHORT = "Jan Jän Feb Mär Mrz Apr Jun Jul Aug Sep Sept Okt Nov Dez"
# French writes them without; "aout" is the spelling of 1990.
_FRENCH = (
    "janvier février mars avril mai juin juillet août aout septembre octobre novembre décembre"
)
_FRENCH_SHORT = "janv févr fév avr juil juill sept oct nov déc"

# In lower case these are words of their language: may, to march, august; and, without a full
# stop, French for seven.
_NO_MONTH_IN_LOWER_CASE = {"may", "march", "august", "sept"}
# With a capital this is the planet, in all three languages.
_NO_MONTH_WITH_A_CAPITAL = {"Mars"}


def month_labels(sentences: Sentences) -> Labels:
    """``month`` for names of months in English, German and French, else ``_``; see `is_month`."""
    return label_by_word(sentences, lambda word: MONTH if is_month(word) else ABSENT)


def is_month(word: str) -> bool:
    """Whether a word is the name of a month, or its usual abbreviation, as it is written.

    - With a capital, or in capitals throughout: all names, French ones too (they begin sentences).
      ``May``, ``March`` and ``August`` are months, as a list of words cannot do better. ``Mars``
      is the planet.
    - In lower case: French names, as is the rule (``mars``, ``mai``), and English and German ones,
      which lower-cased text has; but not ``may``, ``march`` and ``august``, which are more often
      other words.
    - Abbreviations, with or without a full stop (tokenisers may cut it off): English and German
      ones with a capital (``Sept.``, ``Dez``), French ones in lower case too (``janv.``). ``sept``
      without its full stop is French for seven.

    Words are those of tokenised text: whole ones, no pieces of byte-pair encoding; neither
    ``May's`` nor ``Mai-Feier`` is a month. In capitals, French accents may be missing (``AOUT``).

    >>> [is_month(word) for word in ("May", "may", "mai", "mars", "Mars", "Sept.", "sept")]
    [True, False, True, True, False, True, False]
    """
    return unicodedata.normalize("NFC", word) in _FORMS


def _forms() -> frozenset[str]:
    names = _capitalised(_ENGLISH, _GERMAN, _FRENCH)
    names |= {name.lower() for name in names}
    short = _capitalised(_ENGLISH_SHORT, _GERMAN_SHORT, _FRENCH_SHORT) | {*_FRENCH_SHORT.split()}
    forms = names | short | {f"{form}." for form in short}
    forms -= _NO_MONTH_IN_LOWER_CASE | _NO_MONTH_WITH_A_CAPITAL
    forms |= {form.upper() for form in forms if form[0].isupper()}
    french = {*f"{_FRENCH} {_FRENCH_SHORT}".upper().split()}
    capitals = {form for form in forms if form.removesuffix(".") in french}
    return frozenset(forms | {_without_accents(form) for form in capitals})


def _capitalised(*texts: str) -> set[str]:
    return {form.capitalize() for text in texts for form in text.split()}


def _without_accents(form: str) -> str:
    letters = unicodedata.normalize("NFD", form)
    return "".join(letter for letter in letters if not unicodedata.combining(letter))


_FORMS = _forms()
