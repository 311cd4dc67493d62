"""Beam search at full speed: fairseq's own search over a few columns instead of the vocabulary."""

from .generator import CompactGenerator, accelerate

__all__ = ["CompactGenerator", "accelerate"]
