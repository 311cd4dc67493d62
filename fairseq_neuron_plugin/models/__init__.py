"""The architectures that fairseq registers."""
