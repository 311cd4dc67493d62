"""Run commands on hostile files, and judge what comes of it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence

from hostile_commands import STOCK, Command, job_of
from hostile_files import EITHER, OPENS, REFUSED, HostileFile, Workshop
from hostile_runs import MEMORY, SECRET_VALUE, Outcome, Runner
from hostile_stage import Stage

LONGEST = 1000  # characters in a line about what is wrong


def tries(
    command: Command,
    files: Sequence[HostileFile],
    stage: Stage,
    workshop: Workshop,
    runner: Runner,
) -> Iterator[tuple[HostileFile, Outcome, list[str]]]:
    """Run a command on files, one by one; yields what came of it, and what is wrong with that."""
    for file in files:
        base = command.base(file)
        if base is None:
            continue
        path, trap = workshop.make(file, base)
        folder = stage.folder / "runs" / command.name.replace(" ", "_") / base / path.stem
        shutil.rmtree(folder, ignore_errors=True)
        output = folder / "output"
        line = command.arguments(stage, path, base, output)
        job = job_of(line, folder, trap, text=command.text, stop_at=command.stop_at)
        outcome = runner.run(job)
        faults = judge(outcome, file.outcome, command)
        written = output.exists() or output.with_suffix(".json").exists()
        if outcome.status == 2 and written and command.strict:
            faults.append("something was written")
        if not faults:
            shutil.rmtree(folder)
        yield file, outcome, faults


def judge(outcome: Outcome, wanted: str, command: Command) -> list[str]:
    """What is wrong with an outcome; nothing if all is well.

    Args:
        outcome: of the run.
        wanted: `OPENS`, `REFUSED` or `EITHER`.
        command: that was run.
    """
    faults = [f"ran: {event}" for event in outcome.ran]
    if outcome.stopped:
        return [*faults, outcome.stopped]
    said = outcome.out + outcome.err
    if "weights_only" in said:
        faults.append("torch's advice")
    if SECRET_VALUE in said:
        faults.append("a variable of the environment is shown")
    if not command.strict:
        return faults
    if "Traceback (most recent call last)" in said:
        faults.append("traceback")
    if command.tolerant and wanted == REFUSED:
        wanted = EITHER
    right = {REFUSED: (2,), OPENS: command.opened, EITHER: (2, *command.opened)}[wanted]
    if outcome.status not in right:
        faults.append(f"status {outcome.status}, should be {' or '.join(map(str, right))}")
    if outcome.status == 2:
        faults += _line_faults(outcome.err, command.group)
    return faults


def _line_faults(err: str, group: str) -> list[str]:
    lines = [line for line in err.splitlines() if line.strip()]
    last = lines[-1] if lines else ""
    faults = []
    if group == STOCK and not last.startswith("error: "):
        faults.append("the last line is not ours")
    if group != STOCK and not (len(lines) == 1 and ": error: " in last):
        faults.append(f"{len(lines)} lines")
    if len(last) > LONGEST:
        faults.append(f"a line of {len(last)} characters")
    if not last.isprintable():
        faults.append("control characters")
    return faults


def in_brief(outcome: Outcome) -> str:
    """Its last line."""
    lines = (outcome.err.strip() or outcome.out.strip() or "nothing said").splitlines()
    memory = f"{outcome.memory / 2**20:.0f} MB of {MEMORY >> 20}"
    return f"[{outcome.status}, {outcome.computing:.1f} s, {memory}] {lines[-1][:300]}"
