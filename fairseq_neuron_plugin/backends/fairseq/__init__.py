"""fairseq: its checkpoints, models, tasks and corpora."""
