"""Shared by all tests."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from tiny_models import TinyModels, train
from tiny_zoo import Zoo


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> TinyModels:
    """Models trained once for the whole run; kept between runs in the folder $TINY_MODELS."""
    kept = os.environ.get("TINY_MODELS")
    return train(Path(kept) if kept else tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def zoo(tiny: TinyModels) -> Zoo:
    """Further kinds of models, each trained when a test first asks for it."""
    return Zoo(tiny)
