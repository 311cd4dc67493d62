"""The commands that open a checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hostile_files import TRANSLATION, HostileFile, Trap
from hostile_runs import Job, Runner
from hostile_stage import Stage
from tiny_models import SIZES, USER_DIR

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


def job_of(command: Sequence[object], folder: Path, trap: Trap, **more: str) -> Job:
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
