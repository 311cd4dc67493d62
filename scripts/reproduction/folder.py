"""What the folder of a run is held to: one run at a time, one set of settings, maybe its models."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path

from reproduction.config import ConfigError, settings_of
from reproduction.corpora import write_lines
from reproduction.layout import Layout
from reproduction.runner import Journal, Step, command_of

SHARED = ("text", "dict", "bin", "models")


def lock(folder: Path) -> int:
    """Keep other runs out of the folder for as long as this process or one of its steps lives.

    Returns:
        The open file, for the steps to inherit.

    Raises:
        ConfigError: another run, or a step that outlived it, is at work there.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"--output {folder}: {error.strerror}") from error
    held = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(held)
        raise ConfigError(
            f"{folder}: another run, or a step of one that was killed, is still at work there"
        ) from error
    return held


def input_files(layout: Layout) -> list[Path]:
    """Every file of the data folder that the run reads.

    Raises:
        ConfigError: one is missing.
    """
    config, names = layout.config, []
    for corpus in config.corpora.values():
        parts = config.part_names if "{part}" in corpus.train else ("",)
        for language in corpus.languages:
            names += [corpus.train.format(lang=language, part=part) for part in parts]
            names += [p.format(lang=language) for p in (corpus.valid, corpus.test, corpus.raw)]
    for model in layout.models:
        for task in layout.tasks(model.language).values():
            names += [*task.train, *task.test]
    files = [layout.data / name for name in dict.fromkeys(names)]
    for file in files:
        if not file.is_file():
            raise ConfigError(f"no such file: {file}; see --data and the configuration")
    return files


def settings(layout: Layout) -> list[str]:
    """Settings and input, a line each: what decides about the results.

    Raises:
        ConfigError: an input file is missing.
    """
    hashes = (
        f"{file.relative_to(layout.data)}: {hashlib.sha256(file.read_bytes()).hexdigest()[:16]}"
        for file in input_files(layout)
    )
    return [*settings_of(layout.config), *hashes]


def hold_settings(layout: Layout) -> None:
    """Steps are known by their results, so a folder is for one set of settings and input.

    Raises:
        ConfigError: it holds a run with others; the message names them.
    """
    if not check_settings(layout):
        write_lines(layout.folder / "settings.txt", settings(layout))


def check_settings(layout: Layout) -> bool:
    """Whether the folder holds a run of these settings.

    Raises:
        ConfigError: it holds a run with others; the message names them.
    """
    path = layout.folder / "settings.txt"
    if not path.exists() or not (layout.folder / "journal.jsonl").exists():
        return False
    refuse_others(settings(layout), path)
    return True


def refuse_others(now: Iterable[str], path: Path) -> None:
    """See that a run's settings are these.

    Raises:
        ConfigError: they are not; the message shows where.
    """
    now = list(now)
    before = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    if before != now:
        then, new = (
            "; ".join(line for line in one if line not in other)[:200] or "nothing of it"
            for one, other in ((before, now), (now, before))
        )
        raise ConfigError(
            f"{path.parent} holds a run with other settings (then {then}, now {new}): choose "
            "another --output"
        )


def take_models(run: Path, layout: Layout, journal: Journal, steps: list[Step]) -> None:
    """Let the texts and models of another, finished run of the same settings be those of this one.

    Raises:
        ConfigError: they are not there, or not of these settings.
    """
    if not (run / "settings.txt").exists():
        raise ConfigError(f"--models {run}: no run there")
    refuse_others(settings(layout), run / "settings.txt")
    done = Journal(run / "journal.jsonl").entries
    wanted = [
        step
        for step in steps
        if step.result.split("/")[0] in SHARED and step.name not in journal.entries
    ]
    for step in wanted:
        if step.name not in done or done[step.name]["command"] != command_of(step):
            raise ConfigError(f"--models {run}: {step.name} is not done there")
    for name in SHARED:
        link, target = layout.folder / name, (run / name).resolve()
        if link.resolve() != target:
            if link.exists():
                raise ConfigError(f"{link} is there already: choose another --output")
            link.symlink_to(target)
    for step in wanted:
        journal.take(done[step.name])


def evidence_of(run: Path, output: Path) -> str:
    """The evidence of a finished run, to compare with.

    Raises:
        ConfigError: it is not there, or it is the run that is to be compared.
    """
    path = run / "evidence.json"
    if run.resolve() == output.resolve():
        raise ConfigError(f"--compare {run} is the --output itself")
    if not path.is_file():
        raise ConfigError(f"--compare {run}: no finished run there ({path} is missing)")
    text = path.read_text(encoding="utf-8")
    json.loads(text)
    return text
