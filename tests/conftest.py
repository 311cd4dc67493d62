"""Shared by all tests."""

from __future__ import annotations

import fcntl
import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent.parent / "scripts"))
sys.path.insert(0, str(Path(__file__).parent / "support"))

import hydra_memory
from tiny_models import TinyModels, train
from tiny_zoo import Zoo

hydra_memory.remember()


def pytest_collection_finish() -> None:
    """What is imported by now stays: the garbage collector need not look through it again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Only one of the processes that share the tests is inside at a time."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> TinyModels:
    """Models trained once for the whole run; kept between runs in the folder $TINY_MODELS."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder = Path(os.environ.get("TINY_MODELS") or shared / "tiny")
    with alone(folder):
        return train(folder)


@pytest.fixture(scope="session")
def zoo(tiny: TinyModels) -> Zoo:
    """Further kinds of models, each trained when a test first asks for it."""
    return Zoo(tiny, alone)
