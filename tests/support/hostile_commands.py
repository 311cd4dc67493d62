"""The commands that open a checkpoint, and what each of them must do with a hostile one."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from fairseq.data import Dictionary
from fairseq.data.indexed_dataset import make_builder
from hostile_files import (
    EITHER,
    OPENS,
    REFUSED,
    TRANSLATION,
    HostileFile,
    Trap,
    Workshop,
)
from hostile_runs import MEMORY, SECRET_VALUE, Job, Outcome, Runner
from tiny_models import SIZES, USER_DIR, TinyModels
from tiny_zoo import Zoo

from fairseq_neuron_plugin.neurons import Layer, NeuronSpace
from fairseq_neuron_plugin.ranking import Ranking

_LAYERS = {
    **{"lstm": ("encoder", 48), "lstm_lm": ("decoder", 48)},
    **{"transformer": ("encoder", 32), "transformer_lm": ("decoder", 32)},
}
SENTENCES = 3  # of the texts: a command that opens a file shall not take long over them
LONGEST = 1000  # characters in a line about what is wrong
OURS, STOCK, EXPLORER = "ours", "stock", "explorer"  # groups of commands: what is imported before
_PRELOADED = {
    OURS: (
        *("fairseq_neuron_plugin.register", "fairseq_neuron_plugin.loading"),
        *("fairseq_neuron_plugin.cli.extract", "fairseq_neuron_plugin.cli.generate"),
        *("fairseq_neuron_plugin.cli.rank", "fairseq_neuron_plugin.cli.bake"),
        *("fairseq_neuron_plugin.evaluation.translation", "fairseq_neuron_plugin.baking"),
        *("fairseq_neuron_plugin.evaluation.language_model", "fairseq_neuron_plugin.extraction"),
    ),
    STOCK: (),
    EXPLORER: ("fairseq_neuron_plugin.cli.explore", "fairseq_neuron_plugin.explorer.page"),
}
_OFFLINE = {
    **{"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1"},
    **{"HF_HUB_DISABLE_TELEMETRY": "1", "MPLBACKEND": "agg"},
}


@dataclass(frozen=True)
class Stage:
    """What the commands need besides a checkpoint.

    Attributes:
        folder: everything lies here.
        zoo: of honest models.
    """

    folder: Path
    zoo: Zoo

    @property
    def pair(self) -> Path:
        """A data folder of a few sentences: train, valid, test."""
        return self.folder / "pair"

    @property
    def text(self) -> Path:
        """The same for language models."""
        return self.folder / "text"

    def lines(self, language: str) -> Path:
        """The sentences as text."""
        return self.folder / f"lines.{language}"

    def ranking(self, base: str) -> Path:
        """A ranking of the honest model's neurons, made up."""
        return self.folder / f"ranking.{base}.json"

    def honest(self, base: str) -> Path:
        """A checkpoint of that architecture."""
        return self.zoo.tiny.stock if base == TRANSLATION else self.zoo.checkpoint(base)

    @classmethod
    def set(cls, folder: Path, zoo: Zoo) -> Stage:
        """Prepare everything in a folder, which may be there already."""
        stage = cls(folder, zoo)
        folder.mkdir(parents=True, exist_ok=True)
        for language in ("en", "de"):
            lines = (zoo.tiny.corpus / f"test.{language}").read_text().splitlines()[:SENTENCES]
            stage.lines(language).write_text("\n".join(lines) + "\n")
        stage._binarise(zoo.tiny)
        for base, (side, width) in _LAYERS.items():
            layers = [Layer(f"{side}.layers.{number}", width) for number in range(2)]
            ids = np.arange(2 * width)
            scores = ids[::-1].astype(float)
            Ranking("made up", ids, scores, space=NeuronSpace(layers)).save(stage.ranking(base))
        return stage

    def _binarise(self, tiny: TinyModels) -> None:
        folders = {self.pair: (tiny.data, "en-de"), self.text: (self.zoo.data("text"), "")}
        for folder, (source, pair) in folders.items():
            folder.mkdir(exist_ok=True)
            for language in ("en", "de") if pair else ("en",):
                name = f"dict.{language}.txt" if pair else "dict.txt"
                shutil.copy(source / name, folder / name)
                words = Dictionary.load(str(folder / name))
                for split in ("train", "valid", "test"):
                    prefix = f"{folder}/{split}" + (f".{pair}.{language}" if pair else "")
                    builder = make_builder(f"{prefix}.bin", "mmap", vocab_size=len(words))
                    for line in self.lines(language).read_text().splitlines():
                        builder.add_item(words.encode_line(line, add_if_not_exist=False))
                    builder.finalize(f"{prefix}.idx")


@dataclass(frozen=True)
class Command:
    """A command on one checkpoint.

    Attributes:
        name: of the command, and of what it is asked for.
        group: what is imported before.
        arguments: program and arguments, of the stage, the checkpoint, its architecture and a path
            for what is written.
        side: 0: of translation models, 1: of language models.
        text: standard input.
        stop_at: as for `Job`.
        opened: exit statuses of a run in which the file was opened.
        strict: False: of the command's exit status and last line nothing is asked.
        tolerant: it may open what others refuse.
    """

    name: str
    group: str
    arguments: Callable[[Stage, Path, str, Path], Sequence[object]]
    side: int = 0
    text: str = ""
    stop_at: str = ""
    opened: tuple[int, ...] = (0,)
    strict: bool = True
    tolerant: bool = False

    def __str__(self) -> str:
        return self.name

    def base(self, file: HostileFile) -> str | None:
        """The architecture of the file for this command; None: there is none."""
        return file.bases[self.side]


def _job(command: Sequence[object], folder: Path, trap: Trap, **more: str) -> Job:
    program, *rest = map(str, command)
    name = program.removeprefix("fairseq-neuron-")
    ours = name != program
    name = name.removeprefix("fairseq-").replace("-", "_")
    name = "import_checkpoint" if name == "import" else name
    module = f"fairseq_neuron_plugin.cli.{name}" if ours else f"fairseq_cli.{name}"
    return Job(module, "main" if ours else "cli_main", [program, *rest], folder, trap, **more)


def _stock(program: str, data: str, *more: object) -> Callable[..., Sequence[object]]:
    def arguments(stage: Stage, path: Path, base: str, output: Path) -> Sequence[object]:
        common = (program, getattr(stage, data), "--path", path, "--cpu", "--user-dir", USER_DIR)
        return (*common, "--required-batch-size-multiple", "1", *more)

    return arguments


def _ours(program: str, data: str, *more: object) -> Callable[..., Sequence[object]]:
    """``{name}`` in an argument stands for what the stage has, and for the output."""

    def arguments(stage: Stage, path: Path, base: str, output: Path) -> Sequence[object]:
        fields = {
            **{"en": stage.lines("en"), "de": stage.lines("de"), "output": output},
            "ranking": stage.ranking(base),
        }
        filled = [str(part).format(**fields) for part in more]
        return (program, getattr(stage, data), "--path", path, *filled)

    return arguments


def _rank(stage: Stage, path: Path, base: str, output: Path) -> Sequence[object]:
    return (
        *("fairseq-neuron-rank", "gradient-activation", stage.pair, "--path", path, "--cpu"),
        *("--input", stage.lines("en"), "--target-input", stage.lines("de")),
        *("--output", f"{output}.json"),
    )


def _bake(stage: Stage, path: Path, base: str, output: Path) -> Sequence[object]:
    layer = "encoder.layers.0:0" if base == TRANSLATION else "encoder.layers.0.ffn:0"
    return (
        *("fairseq-neuron-bake", stage.pair, "--path", path, "--ablate", layer),
        *("--output", output),
    )


def _train(stage: Stage, path: Path, base: str, output: Path) -> Sequence[object]:
    return (
        *("fairseq-train", stage.pair, "--user-dir", USER_DIR, "--restore-file", path, "--cpu"),
        *("--arch", "lstm", *SIZES, "--task", "translation", "-s", "en", "-t", "de", "--no-save"),
        *("--reset-optimizer", "--reset-dataloader", "--reset-lr-scheduler", "--reset-meters"),
        *("--optimizer", "adam", "--lr", "0.001", "--max-update", "1", "--batch-size", "8"),
        *(
            "--num-workers",
            "0",
            "--required-batch-size-multiple",
            "1",
            "--save-dir",
            output,
            "--max-epoch",
            "1",
        ),
    )


def _import(stage: Stage, path: Path, base: str, output: Path) -> Sequence[object]:
    return (
        *("fairseq-neuron-import", "fairseq", path, "--data", stage.pair, "-s", "en", "-t", "de"),
        *("--output", output),
    )


_SEARCH = ("--beam", "1", "--max-len-a", "0", "--max-len-b", "5")
_PAIR = ("-s", "en", "-t", "de")
_SWEEP = ("--ranking", "{ranking}", "--ablate", "0,1", "--order", "top", "--bootstrap", "0")
_BREAK = ("--sample-break-mode", "none", "--tokens-per-sample", "64")
COMMANDS = (
    Command(
        "extract --list-layers",
        OURS,
        _ours("fairseq-neuron-extract", "pair", "--cpu", "--list-layers"),
    ),
    Command(
        "extract",
        OURS,
        _ours(
            "fairseq-neuron-extract", "pair", "--cpu", "--input", "{en}", "--output-dir", "{output}"
        ),
    ),
    Command("bake", OURS, _bake),
    Command("rank", OURS, _rank),
    Command("import", OURS, _import, tolerant=True),
    Command(
        "generate",
        OURS,
        _ours(
            *("fairseq-neuron-generate", "pair", "--cpu", "--gen-subset", "test", *_SEARCH),
            *(*_SWEEP, "--metrics", "bleu", "--output-dir", "{output}"),
        ),
    ),
    Command(
        "explore",
        EXPLORER,
        lambda stage, path, base, output: (
            "fairseq-neuron-explore",
            stage.pair,
            "--path",
            path,
            "--cpu",
        ),
        stop_at="Ctrl-C ends it",
        opened=(0, 130),
    ),
    Command(
        "stock generate",
        STOCK,
        _stock("fairseq-generate", "pair", "--task", "translation", *_PAIR, *_SEARCH),
    ),
    Command(
        "stock generate, neuron task",
        STOCK,
        _stock("fairseq-generate", "pair", "--task", "neuron_translation", *_PAIR, *_SEARCH),
    ),
    Command(
        "stock interactive",
        STOCK,
        _stock("fairseq-interactive", "pair", "--task", "translation", *_PAIR, *_SEARCH),
        text="the cat saw a dog .\n",
    ),
    Command("stock train", STOCK, _train, strict=False),
    Command(
        "eval-lm",
        OURS,
        _ours(
            *("fairseq-neuron-eval-lm", "text", "--cpu", "--gen-subset", "test", *_BREAK),
            *(*_SWEEP, "--output-dir", "{output}"),
        ),
        side=1,
    ),
    Command(
        "stock eval-lm",
        STOCK,
        _stock("fairseq-eval-lm", "text", "--gen-subset", "test", *_BREAK),
        side=1,
    ),
    Command(
        "extract of a language model",
        OURS,
        _ours(
            "fairseq-neuron-extract", "text", "--cpu", "--input", "{en}", "--output-dir", "{output}"
        ),
        side=1,
    ),
)


def runner_of(group: str) -> Runner:
    """A runner for the commands of a group."""
    runner = Runner(_OFFLINE)
    prepare(runner, group)
    return runner


def prepare(runner: Runner, group: str) -> None:
    """Let a runner import what the commands of a group share; nothing for `STOCK`."""
    runner.load(_PRELOADED[group])


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
        job = _job(line, folder, trap, text=command.text, stop_at=command.stop_at)
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
