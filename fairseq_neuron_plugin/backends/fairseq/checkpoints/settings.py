"""Settings that come out of a checkpoint are data: nothing in them is run, opened or looked up."""

from __future__ import annotations

import re
from argparse import Namespace
from collections.abc import Mapping, MutableMapping
from pathlib import PurePath
from typing import Any

from ....errors import UserError
from ....files import StrPath
from .fairseq_tables import EVALUATED, FILES_OF_DATA, INITIALISED, NAMED_FILES, REGISTERED
from .literals import is_literal
from .settings_bounds import Bounds, Names, parts_of, shown

EVALUATED_SETTINGS = frozenset(name for settings in EVALUATED.values() for name in settings)
NAMED_FILE_SETTINGS = {
    name: nothing for settings in NAMED_FILES.values() for name, nothing in settings.items()
}

# A negative number of heads or units would be found by the first batch, if at all.
_SIZE = re.compile("(attention_heads|embed_dim|hidden_size)$")
_REGISTERED_NAME = re.compile(r"[A-Za-z0-9_][\w.+-]{0,199}")
_REFERENCE = re.compile(r"\$\{([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+)\}")
# hydra ends a quoted text at a quote after an even number of backslashes; fairseq escapes a quote
# with one more, whatever there was.
_BREAKS_QUOTES = re.compile(r"\\(?:['\"]|$)")


def vet_settings(settings: MutableMapping[str, Any] | Namespace, path: StrPath) -> list[str]:
    """Check the settings of a checkpoint, and empty those that name files, in place.

    What the user overrides has to be set after that.

    Args:
        settings: ``args`` of a checkpoint (flat), or ``cfg`` (with sections ``model``, ``task``,
            ...), of scalars, lists, tuples, dicts and Namespaces.
        path: of the checkpoint, for errors.

    Returns:
        The settings, such as ``model.encoder_embed_path``, that named what fairseq would have
        opened, and do so no more.

    Raises:
        UserError: a setting is not plain data, is out of bounds, is a text that fairseq would
            evaluate but no literal, or a text that hydra or omegaconf would make something else
            of.
    """
    model = None if isinstance(settings, Namespace) else settings.get("model")
    flat = not isinstance(model, Mapping | Namespace)
    Bounds(path, flat).check(settings)
    vetting = _Vetting(settings, path, flat)
    vetting.vet(settings, None)
    return list(dict.fromkeys(vetting.emptied))


class _Vetting:
    """Goes through settings that are within bounds.

    Args:
        settings: all of them, which a reference in one of them can mean.
        path: of the checkpoint, for errors.
        flat: the settings are ``args``.

    Attributes:
        emptied: names of the settings that named files.
    """

    def __init__(
        self, settings: MutableMapping[str, Any] | Namespace, path: StrPath, flat: bool
    ) -> None:
        self._settings = settings
        self._path = path
        self._flat = flat
        self.emptied: list[str] = []

    def vet(self, container: Any, names: Names | None, in_namespace: bool = False) -> None:
        """Check, and empty, what is in a container."""
        in_namespace |= self._flat or isinstance(container, Namespace)
        keyed = isinstance(container, Mapping | Namespace)
        for key, value in list(parts_of(container)):
            own = Names(names, key)
            if keyed:
                self._check_named(own, value)
            if isinstance(value, list | tuple | dict | Namespace):
                self.vet(value, own, in_namespace)
            elif isinstance(value, str):
                self._check_text(own, value, in_namespace, keyed)
        if keyed:
            self._empty(container, names)

    def _check_named(self, names: Names, value: Any) -> None:
        """Check a setting for what its name says it is."""
        mine = _names(names)
        if not mine.isdisjoint(EVALUATED_SETTINGS) and isinstance(value, str):
            self._check_literal(names, value)
        if names.name in REGISTERED:
            self._check_registered(names, value)
        if type(value) in (int, float) and value < 0 and _SIZE.search(str(names.name)):
            raise self._error(names, f"must not be negative, but is {value}")
        if names.name == "data" and not _is_data(value):
            raise self._error(names, "must be a path, or a list of paths")

    def _check_literal(self, names: Names, text: str) -> None:
        if text.strip() and not is_literal(text):
            raise self._error(
                names,
                f"must be a literal such as True, 10,20 or [(512, 3)] * 4, not '{shown(text)}': "
                "fairseq would evaluate it; nothing was run",
            )

    def _check_registered(self, names: Names, value: Any) -> None:
        if value is None or value == "":
            return
        if isinstance(value, dict | Namespace) and names.name not in ("_name", "arch"):
            return  # a section
        if not isinstance(value, str):
            raise self._error(names, f"must be a name, not a {type(value).__name__}")
        if not _REGISTERED_NAME.fullmatch(value):
            raise self._error(names, f"must be a name, not '{shown(value)}'")

    def _check_text(self, names: Names, text: str, in_namespace: bool, keyed: bool) -> None:
        if "${" in text:
            reference = _REFERENCE.fullmatch(text)
            if in_namespace or not keyed or reference is None or not self._refers(reference[1]):
                raise self._error(
                    names, f"must be a value, not '{shown(text)}': nothing was looked up"
                )
        if self._flat and _BREAKS_QUOTES.search(text):
            raise self._error(
                names,
                f"has a backslash before a quote or at its end: '{shown(text)}' is not supported",
            )

    def _refers(self, dotted: str) -> bool:
        """Tell whether a reference is to one value, or a list of values, and goes no further."""
        value: Any = self._settings
        for name in dotted.split("."):
            if not isinstance(value, Mapping) or name not in value:
                return False
            value = value[name]
        values = value if isinstance(value, list | tuple) else [value]
        return not any(
            isinstance(part, list | tuple | dict | Namespace)
            or (isinstance(part, str) and "${" in part)
            for part in values
        )

    def _empty(self, container: Any, names: Names | None) -> None:
        """Empty what names files in a set of settings, and what would fail without them."""
        settings = vars(container) if isinstance(container, Namespace) else container
        emptied = []
        for name, value in list(settings.items()):
            own = Names(names, name)
            called = _names(own) & NAMED_FILE_SETTINGS.keys()
            if not called and (name not in FILES_OF_DATA or _in_data(value)):
                continue
            nothing = NAMED_FILE_SETTINGS[min(called)] if called else None
            if value in (None, "") or (type(value) is type(nothing) and value == nothing):
                continue
            settings[name] = nothing
            emptied.append(name)
            self.emptied.append(str(own))
        if "decoder_embed_path" in emptied and settings.get("decoder_freeze_embed"):
            settings["decoder_freeze_embed"] = False  # lstm freezes what it has read
        if "pretrained_xlm_checkpoint" in emptied:
            for name in ("_name", "arch"):
                if settings.get(name) in INITIALISED:
                    settings[name] = INITIALISED[settings[name]]

    def _error(self, names: Names, what: str) -> UserError:
        return UserError(f"checkpoint {self._path}: setting {names} {what}")


def _names(names: Names) -> frozenset[str]:
    """A setting's own name, and the one that a flat set of settings has for it."""
    own = str(names.name)
    if names.parent is None:
        return frozenset((own,))
    return frozenset((own, f"{names.parent.name}_{own}"))


def _is_data(value: Any) -> bool:
    paths = value if isinstance(value, list | tuple) else [value]
    return value is None or all(isinstance(path, str) for path in paths)


def _in_data(value: Any) -> bool:
    """Tell whether a file is named within the folder of the data."""
    if not isinstance(value, str):
        return value is None
    file = PurePath(value)
    return not file.is_absolute() and ".." not in file.parts
