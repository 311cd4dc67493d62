"""A stranger's checkpoint runs nothing, opens nothing, and is refused in one line and in time."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hostile_calls import calls
from hostile_commands import COMMANDS, OURS, STOCK, Command, prepare, runner_of
from hostile_files import (
    EITHER,
    OPENS,
    REFUSED,
    HostileFile,
    Trap,
    Workshop,
    hostile_files,
)
from hostile_judge import LONGEST, in_brief, tries
from hostile_opcodes import Opcodes, dumps
from hostile_runs import Job, Outcome, Runner
from hostile_stage import Stage

CHECKED = [command for command in COMMANDS if command.group in (OURS, STOCK)]
ENTRIES = "hostile_reading"
BATCH = 25  # files that one process reads
BUILT = 3  # of each so many files that can be read, one model is built
# Calls that this Python, or an unpickler by itself, cannot make.
HARMLESS = {
    *("nt.system", "types.CodeType", "a codec", "a codec's search"),
    *("a dotted name", "a dunder path"),
}


class Scene:
    """What the tests share: files, what commands need, and the process that runs them."""

    def __init__(self, stage: Stage, runner: Runner) -> None:
        self.stage = stage
        self.workshop = Workshop(stage.folder / "files", stage.honest)
        self._runner = runner
        self._group = STOCK

    def runner(self, group: str) -> Runner:
        """Best for stock commands first: the plugin cannot be taken out of a process again."""
        if group == STOCK != self._group:
            self._runner.close()
            self._runner = runner_of(STOCK)
        elif group != self._group:
            prepare(self._runner, group)
        self._group = group
        return self._runner

    def close(self) -> None:
        self._runner.close()


@pytest.fixture(scope="module")
def scene(zoo, tmp_path_factory) -> Iterator[Scene]:
    made = Scene(Stage.set(tmp_path_factory.mktemp("hostile"), zoo), runner_of(STOCK))
    yield made
    made.close()


@pytest.fixture
def trap(tmp_path) -> Trap:
    return Trap.set(tmp_path / "trap")


def a_few(command: Command) -> list[HostileFile]:
    """Files of every sixth kind, another one of a kind for each command."""
    number = [one.name for one in COMMANDS].index(command.name)
    kinds: dict[str, list[HostileFile]] = {}
    for file in hostile_files():
        if command.base(file):
            kinds.setdefault(file.kind, []).append(file)
    chosen = [kinds["honest"][number % len(kinds["honest"])]]
    for place, kind in enumerate(sorted(kinds.keys() - {"honest"})):
        if (place + number) % 6 == 0:
            chosen.append(kinds[kind][(7 * number) % len(kinds[kind])])
    return chosen


@pytest.mark.parametrize("command", sorted(CHECKED, key=lambda c: c.group == OURS), ids=str)
def test_commands_refuse_in_one_line(scene, command) -> None:
    """A few files with each; all of them: scripts/check_hostile_checkpoints.py."""
    tried = tries(command, a_few(command), scene.stage, scene.workshop, scene.runner(command.group))
    wrong = [
        f"{file.name}: {faults} {in_brief(outcome)}" for file, outcome, faults in tried if faults
    ]
    assert not wrong, "\n".join(wrong)


def run(scene: Scene, trap: Trap, function: str, *arguments: object) -> Outcome:
    command = [ENTRIES, *map(str, arguments)]
    folder = trap.folder.parent / "run"
    return scene.runner(OURS).run(Job(ENTRIES, function, command, folder, trap))


def test_there_are_many_files_of_every_kind() -> None:
    files = hostile_files()
    assert len(files) > 700
    for outcome in (REFUSED, OPENS, EITHER):
        assert sum(file.outcome == outcome for file in files) > 50
    for side in (0, 1):
        assert sum(file.bases[side] is not None for file in files) > 500


def test_an_unpickler_makes_the_calls_of_the_files(scene, trap, tmp_path) -> None:
    harmless = set()
    for label, code in calls(trap):
        (tmp_path / "call.pkl").write_bytes(dumps(Opcodes(code)))
        if not run(scene, trap, "unpickle", tmp_path / "call.pkl").ran:
            harmless.add(label)
    assert sorted(harmless) == sorted(HARMLESS)


def test_memory_is_measured(scene, trap) -> None:
    assert run(scene, trap, "allocate").stopped.startswith("memory")


@pytest.mark.parametrize("side", [0, 1], ids=["translation", "language models"])
def test_every_file_is_read_as_data(scene, tmp_path, side) -> None:
    """By the reader, and some by the builder of models, many files in a process."""
    kinds = ("honest", "place")  # of language models too, though they differ in nothing else
    files = [
        file
        for file in hostile_files()
        if file.bases[side] and (not any(file.bases[:side]) or file.kind in kinds)
    ]
    made = [(file, *scene.workshop.make(file, str(file.bases[side]))) for file in files]
    data = scene.stage.text if side else scene.stage.pair
    wrong: list[str] = []
    while made:
        done, faults = read(scene, made[:BATCH], data, tmp_path)
        made = made[done:]
        wrong += faults
    assert not wrong, "\n".join(wrong)


def read(
    scene: Scene, made: Sequence[tuple[HostileFile, Path, Trap]], data: Path, folder: Path
) -> tuple[int, list[str]]:
    """How many of these files one process came to, and what is wrong with that."""
    built = {str(path): number % BUILT == 0 for number, (_, path, _) in enumerate(made)}
    files, notes = folder / "files", folder / "notes"
    files.write_text(json.dumps(built))
    notes.unlink(missing_ok=True)
    command = [ENTRIES, str(files), str(data), str(notes)]
    # The traps of all these files are in one folder.
    job = Job(ENTRIES, "read_files", command, folder / "run", Trap(scene.workshop.folder / "traps"))
    outcome = scene.runner(OURS).run(job)
    said = dict(map(json.loads, notes.read_text().splitlines()))
    wrong = []
    for file, path, trap in made[: len(said)]:
        faults = []
        if trap.sprung():
            faults.append("the canary was touched")
        if said[str(path)] is None:
            faults.append(str(outcome.stopped or outcome.ran or outcome.err[-500:]))
        else:
            faults += faults_of(file.outcome, said[str(path)], built[str(path)])
        wrong += [f"{file.name}: {fault}" for fault in faults]
    return len(said), wrong


def faults_of(wanted: str, message: str, built: bool) -> list[str]:
    faults = []
    if wanted == OPENS and message:
        faults.append(f"refused: {message}")
    if wanted == REFUSED and built and not message:
        faults.append("opened")
    if len(message) > LONGEST or not " ".join(message.split()).isprintable():
        faults.append(f"a message of {len(message)} characters")
    return faults
