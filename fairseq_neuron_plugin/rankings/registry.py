"""The ranking methods: a method is a function that is registered here.

Usage, e.g. in a file that ``fairseq-neuron-rank --plugin FILE.py`` loads::

    from fairseq_neuron_plugin.rankings import ranking_method

    @ranking_method("largest", inputs="activations")
    def largest(X, *, power: float = 1.0):
        '''By the largest absolute activation.

        Args:
            X: ``[tokens, neurons]``.
            power: what it is raised to.
        '''
        return np.abs(X[:]).max(axis=0) ** power    # one score a neuron; or a Ranking

``fairseq-neuron-rank largest acts --power 2 --output R.json`` then works: positional parameters are
what the kind of inputs gives, keyword-only ones are flags, described by the docstring.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar, get_type_hints

from ..errors import UserError
from ..ranking import Ranking
from .scored import by_score

# What a method is called with, by kind of inputs.
INPUTS = {
    "activations": "X: [tokens, neurons], read in slices of rows",
    "labels": "X, and y: one label a token, strings or `Coded`",
    "models": "X, and a list of the same tokens read by other models",
    "probe": "coef: [labels, neurons], and the labels' names",
    "gradients": "an iterable of `GradientBlock`",
}
RESERVED = ("progress",)

Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass(frozen=True)
class RankingMethod:
    """A registered way to rank neurons.

    Attributes:
        name: as the command takes it.
        inputs: a key of `INPUTS`.
        function: gives a `Ranking` or scores ``[neurons]``, the largest most important.
    """

    name: str
    inputs: str
    function: Callable[..., Any]

    @property
    def summary(self) -> str:
        """The first line of the function's docstring."""
        return (inspect.getdoc(self.function) or "").partition("\n")[0]

    @property
    def options(self) -> dict[str, inspect.Parameter]:
        """Its keyword-only parameters that a user sets, by name, with resolved annotations."""
        try:
            hints = get_type_hints(self.function)
        except NameError as error:
            raise UserError(f"an annotation of ranking method {self.name}: {error}") from error
        return {
            name: parameter.replace(annotation=hints.get(name, str))
            for name, parameter in inspect.signature(self.function).parameters.items()
            if parameter.kind is parameter.KEYWORD_ONLY and name not in RESERVED
        }

    @property
    def shows_progress(self) -> bool:
        """Whether it takes ``progress``, called with steps done and steps in all."""
        return "progress" in inspect.signature(self.function).parameters

    def rank(self, *inputs: Any, **options: Any) -> Ranking:
        """Call the function; scores become a ranking."""
        found = self.function(*inputs, **options)
        if isinstance(found, Ranking):
            return found
        settings = {name: value for name, value in options.items() if name not in RESERVED}
        return by_score(self.name, found, settings)


METHODS: dict[str, RankingMethod] = {}


def ranking_method(name: str, inputs: str) -> Callable[[Function], Function]:
    """Register a function as a ranking method; it can still be called as it is.

    Args:
        name: as the command takes it.
        inputs: what it is called with, a key of `INPUTS`.

    Raises:
        ValueError: a name that is taken, or unknown inputs.
    """
    if inputs not in INPUTS:
        raise ValueError(f"unknown inputs {inputs!r}; there are: {', '.join(INPUTS)}")

    def register(function: Function) -> Function:
        if name in METHODS:
            raise ValueError(f"there is a ranking method {name!r} already")
        METHODS[name] = RankingMethod(name, inputs, function)
        return function

    return register
