"""What the analyses of probes have in common: reading them, shares, choices of labels."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..analysis.inputs import Origin, unique_names
from ..core.quoting import split_unquoted, unquote
from ..errors import UserError
from ..probing.probe_folder import ProbeFolder, load_probe
from ..signature import short_hash


@dataclass(frozen=True)
class NamedProbe:
    """A probe folder under the name that tables give it."""

    name: str
    path: str
    folder: ProbeFolder

    @property
    def origin(self) -> Origin:
        """Whose neurons its weights belong to."""
        return Origin(self.folder.weight.shape[1], self.folder.space, self.folder.model)

    @property
    def tokens(self) -> dict[str, int]:
        """Test words of each label, where they were counted."""
        rows = self.folder.result.get("test", {}).get("labels", [])
        return {row["label"]: row["support"] for row in rows}

    def to_json(self) -> dict[str, object]:
        """What a result says about it."""
        space = self.folder.space
        return {
            "name": self.name,
            "path": self.path,
            "model": self.folder.model,
            "layers": space.to_json() if space else None,
            "neurons": self.origin.size,
            "signature": self.folder.signature,
        }


def read_probes(paths: Sequence[str]) -> list[NamedProbe]:
    """The probe folders, with names that tell them apart.

    Raises:
        UserError: missing, no probe, or one given twice.
    """
    names = unique_names(paths)
    return [
        NamedProbe(name, str(path), load_probe(path))
        for name, path in zip(names, paths, strict=True)
    ]


def hashes(signatures: Iterable[str]) -> str:
    """What a signature says about the inputs."""
    return "+".join(short_hash(signature) for signature in signatures)


def add_mass(parser: argparse.ArgumentParser) -> None:
    """Add the share of a label's weight mass that its salient neurons hold."""
    parser.add_argument(
        "--mass",
        metavar="PERCENT",
        help="share of a label's weight mass that its salient neurons hold, 25 or 25%% "
        "(default: 25)",
    )


def read_mass(args: argparse.Namespace) -> float:
    """The share, 0 to 1."""
    try:
        percent = float((args.mass or "25").removesuffix("%"))
    except ValueError as error:
        raise UserError(f"--mass is a number of percent, not {args.mass!r}") from error
    if not 1 <= percent <= 100:
        raise UserError(f"--mass must be 1 to 100 percent, not {percent:g}: 25 is a quarter")
    return float(percent / 100)


def choose_labels(text: str, known: Iterable[str], flag: str = "--labels") -> list[str]:
    """The labels of a comma-separated list, each of which must be known.

    Raises:
        UserError: an unknown label, or none.
    """
    there = list(dict.fromkeys(known))
    given = (unquote(part.strip()) for part in split_unquoted(text, ","))
    chosen = list(dict.fromkeys(filter(None, given)))
    if not chosen:
        raise UserError(f"{flag} names no label")
    for label in chosen:
        if label not in there:
            raise UserError(f"{flag}: no label {label!r}; there are: {', '.join(there)}")
    return chosen
