"""One line that holds every setting that can change a result, in the manner of sacrebleu."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from importlib import metadata

from .version import __version__

_DISTRIBUTIONS = {
    "torch": ("torch",),
    "numpy": ("numpy",),
    "sklearn": ("scikit-learn",),
    "sacrebleu": ("sacrebleu",),
    "fairseq": ("fairseq-fixed", "fairseq"),
}


def versions(*names: str) -> dict[str, str]:
    """Versions of this package and of the named ones (keys of ``_DISTRIBUTIONS``).

    A package that is not installed is given as ``"none"``.
    """
    found = {"version": __version__}
    for name in names:
        for distribution in _DISTRIBUTIONS[name]:
            try:
                found[name] = metadata.version(distribution)
                break
            except metadata.PackageNotFoundError:
                found[name] = "none"
    return found


def format_signature(settings: Mapping[str, object]) -> str:
    """Join settings to ``key:value|key:value``, in the order given.

    ``|`` and line ends inside a value become ``_``, so that a signature stays one line that can be
    split again.

    >>> format_signature({"method": "linguistic", "step": 1})
    'method:linguistic|step:1'
    """
    return "|".join(f"{key}:{_clean(value)}" for key, value in settings.items())


def short_hash(text: str) -> str:
    """First 12 hexadecimal digits of the text's SHA-256."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:12]


def _clean(value: object) -> str:
    if isinstance(value, float):
        value = format(value, "g")
    return str(value).replace("|", "_").replace("\n", "_").replace("\r", "_")
