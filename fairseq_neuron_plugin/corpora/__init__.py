"""A corpus as a model reads it, and the words it stands for: one module a side."""

from .corpus import Batch, Corpus
from .reading import END, read_split, read_text

__all__ = ["END", "Batch", "Corpus", "read_split", "read_text"]
