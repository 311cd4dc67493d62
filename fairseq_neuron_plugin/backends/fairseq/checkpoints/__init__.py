"""Checkpoints of fairseq of any year, read as data."""
