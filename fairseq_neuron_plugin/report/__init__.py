"""One page to look at, made of stores, probes, rankings and sweeps."""
