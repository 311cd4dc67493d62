"""What somebody wrote about a run beside its page, and which of it goes into the page.

``paper-reading.md`` beside ``paper.md`` is written by hand. A paragraph that follows a line
``<!-- why: methods -->`` is the reason for what the page's section ``methods`` found; the page
shows it there. Such a text is about one run: it names the digest of that run's figures in a line
``<!-- evidence: 0123456789ab -->``, and the page of another run leaves its reasons out.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from reproduction.config import ConfigError

_EVIDENCE = re.compile(r"<!-- evidence: (\w+) -->")
_WHY = re.compile(r"<!-- why: ([\w-]+) -->")


@dataclass(frozen=True)
class Reading:
    """A hand-written text about a run.

    Attributes:
        name: of its file.
        evidence: what it is about, see `evidence.digest`; empty if it does not say.
        reasons: for sections of the page, by key: a paragraph, and the heading it stands under.
    """

    name: str
    evidence: str = ""
    reasons: dict[str, tuple[str, str]] = field(default_factory=dict)

    def link(self, heading: str = "") -> str:
        """A link to it, or to one of its headings, as GitHub names them."""
        kept = "".join(char for char in heading.lower() if char.isalnum() or char in " -_")
        return f"{self.name}#{kept.replace(' ', '-')}" if heading else self.name


def read_reading(page: Path, keys: Collection[str]) -> Reading | None:
    """The text beside a page, if there is one.

    Args:
        keys: of the page's sections.

    Raises:
        ConfigError: a reason for a section that there is not, or a second one for the same.
    """
    path = page.with_name(f"{page.stem}-reading.md")
    if not path.exists():
        return None
    text = path.read_text(encoding="utf-8")
    evidence = _EVIDENCE.search(text)
    reasons: dict[str, tuple[str, str]] = {}
    for key, reason in _reasons(text):
        if key not in keys or key in reasons:
            what = "two reasons" if key in reasons else "a reason for an unknown section"
            raise ConfigError(f"{path}: {what}: {key}; sections are {', '.join(keys)}")
        reasons[key] = reason
    return Reading(path.name, evidence[1] if evidence else "", reasons)


def _reasons(text: str) -> Iterator[tuple[str, tuple[str, str]]]:
    heading, wanted, in_code, lines = "", "", False, list[str]()
    for line in [*map(str.strip, text.splitlines()), ""]:
        if line.startswith("```"):
            in_code = not in_code
        elif in_code:
            continue
        elif found := _WHY.fullmatch(line):
            wanted = found[1]
        elif line.startswith("#"):
            heading = line.lstrip("# ")
        elif wanted and line:
            lines.append(line)
        elif wanted and lines:
            yield wanted, (" ".join(lines), heading)
            wanted, lines = "", []
