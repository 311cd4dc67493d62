"""What rankings, probes and activations say about neurons, in tables and pictures."""
