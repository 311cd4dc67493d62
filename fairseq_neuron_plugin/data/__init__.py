"""Activations on disk and in memory."""
