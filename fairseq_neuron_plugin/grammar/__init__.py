"""A small synchronous English-German grammar with gold annotation.

It stands in for a parallel corpus where none is at hand: `generate` yields
sentence pairs, `write_corpus` writes training, validation, test and annotated
files.  `tags.UPOS` and `tags.SEM_TAGS` document the annotation.
"""

from __future__ import annotations

from .corpus import write_corpus
from .generator import generate
from .tags import Pair, Token

__all__ = ["Pair", "Token", "generate", "write_corpus"]
