"""What a probe experiment is made of: which tokens, which fit, which measurements."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import torch

from ..errors import UserError
from .grid_plan import GridPlan, parse_grid

SOLVERS = ("exact", "adam")


@dataclass(frozen=True)
class ProbeSettings:
    """The settings of `run_experiment`; each is the flag of that name of the command.

    Attributes:
        acts: folder of the activation store to train on.
        labels: file with its labels; or else `property`.
        property: ``position``, ``months``, ``regex:PATTERN`` or ``lexicon:FILE``.
        label_format, conllu_column: see `labels.read_labels`.
        test_acts, test_labels: what to test on; without them a fifth of the sentences of ``acts``.
        train_sentences, test_sentences: how many sentences to take, the first ones.
        min_count: labels that training sees less often are left out of it.
        balance: most training tokens of each label; ``rarest``: as many as the rarest label has.
        l1, l2: strengths of the penalty; with ``grid="auto"`` the grid picks them.
        solver: ``exact``: to the optimum; ``adam``: the authors' protocol.
        tol, max_iter: of the exact solver.
        device: where the solver computes: ``cpu``, ``cuda``, ``cuda:1``.
        grid: ``auto``, ``auto:V1,V2``, ``V1,V2`` or ``L1VALUES:L2VALUES``; see `parse_grid`.
        grid_margin: how much held-out accuracy ``auto`` may give away, 0 to 1.
        control_tasks: number of control tasks, with the seeds ``seed``, ``seed + 1``, ….
        ablate: shares of neurons to keep in percent, ``10,15,20``.
        seed: of all that is drawn: splits, samples, control tasks, the random order.

    Raises:
        UserError: a value out of range, or two that do not go together.
    """

    acts: str
    labels: str | None = None
    property: str | None = None
    label_format: str | None = None
    conllu_column: str = "upos"
    test_acts: str | None = None
    test_labels: str | None = None
    train_sentences: int | None = None
    test_sentences: int | None = None
    min_count: int = 1
    balance: int | Literal["rarest"] | None = None
    l1: float = 1e-5
    l2: float = 1e-5
    solver: str = "exact"
    tol: float = 1e-6
    max_iter: int = 1000
    device: str = "cpu"
    grid: str | None = None
    grid_margin: float = 0.01
    control_tasks: int = 0
    ablate: str | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        self._check_data()
        self._check_numbers()
        _check_device(self.device)
        # Both are read here, so that a bad one is an error before any work.
        _ = self.shares, self.plan

    @cached_property
    def shares(self) -> tuple[str, ...]:
        """``ablate`` as shares, each once: ``("10%", "15%")``."""
        shares = []
        for item in filter(None, (part.strip() for part in (self.ablate or "").split(","))):
            try:
                share = float(item.removesuffix("%"))
            except ValueError:
                share = -1.0
            if not 0 < share <= 100:
                raise UserError(f"--ablate takes percentages above 0 and up to 100, not {item!r}")
            shares.append(f"{share:g}%")
        return tuple(dict.fromkeys(shares))

    @cached_property
    def plan(self) -> GridPlan | None:
        """``grid`` as a plan."""
        return None if self.grid is None else parse_grid(self.grid)

    @cached_property
    def picks(self) -> bool:
        """Whether the grid picks the strengths of the penalty."""
        return self.plan is not None and self.plan.auto

    def fit_settings(self) -> dict[str, Any]:
        """Parameters of `ElasticNetProbe` but the strengths of the penalty."""
        return {
            "solver": self.solver,
            "tol": self.tol,
            "max_iter": self.max_iter,
            "device": self.device,
            "random_state": self.seed,
        }

    def _check_data(self) -> None:
        if (self.labels is None) == (self.property is None):
            raise UserError("a probe needs --labels or --property, one of them")
        if self.test_labels and not self.test_acts:
            raise UserError("--test-labels needs --test-acts")
        if self.test_acts and not (self.test_labels or self.property):
            raise UserError("--test-acts needs --test-labels")
        if self.test_labels and self.property:
            raise UserError("--property makes the test labels too; leave --test-labels out")

    def _check_numbers(self) -> None:
        for name in ("l1", "l2", "tol", "grid_margin"):
            value = getattr(self, name)
            if not 0 <= value < math.inf:
                raise UserError(f"{_flag(name)} must be a number of at least 0, not {value:g}")
        least = {"max_iter": 1, "min_count": 1, "control_tasks": 0, "seed": 0}
        optional = {"train_sentences": 1, "test_sentences": 1, "balance": 1}
        for name, lowest in {**least, **optional}.items():
            value = getattr(self, name)
            if isinstance(value, int) and value < lowest:
                raise UserError(f"{_flag(name)} must be at least {lowest}, not {value}")
        if self.solver not in SOLVERS:
            raise UserError(f"unknown solver {self.solver!r}; there are: {', '.join(SOLVERS)}")


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _check_device(name: str) -> None:
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type not in ("cpu", "cuda"):
        raise UserError(f"unknown --device {name!r}; write cpu, cuda or cuda:1, say")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UserError(f"--device {name}: torch finds no such GPU here; cpu is the default")
