"""From rankings to curves: the same decode under a series of interventions."""
