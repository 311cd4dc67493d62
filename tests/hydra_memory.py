"""Hydra's composing of fairseq's settings, without the work that it does anew for each command.

Some 250 settings are parsed each time, nearly all of them with the same text as before, and the
store of all configurations is copied deeply: two thirds of the time of a small command.
"""

from __future__ import annotations

import copy
from typing import Any

from hydra._internal.config_repository import CachingConfigRepository
from hydra.core.override_parser.overrides_parser import OverridesParser


def remember() -> None:
    """Parse each setting once; copy of the repository no more than Hydra replaces in the copy."""
    parse, parsed = OverridesParser.parse_rule, {}

    def parse_rule(self: OverridesParser, text: str, rule: str) -> Any:
        if (text, rule) not in parsed:
            parsed[text, rule] = parse(self, text, rule)
        return copy.copy(parsed[text, rule])

    def init(self: CachingConfigRepository, delegate: Any) -> None:
        self.delegate = copy.copy(delegate)  # its list of sources is replaced, never changed
        self.cache = {}

    OverridesParser.parse_rule = parse_rule
    CachingConfigRepository.__init__ = init
