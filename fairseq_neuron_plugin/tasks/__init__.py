"""The tasks that fairseq registers."""
