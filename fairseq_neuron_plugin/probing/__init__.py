"""Linguistic Correlation Analysis: from activations and labels to a probe (paper, section 3.1)."""
