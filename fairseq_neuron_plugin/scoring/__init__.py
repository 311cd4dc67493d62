"""Log-probabilities of given tokens, without those of the whole vocabulary."""
