"""Where everything of a run lies, relative to its folder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from reproduction.config import Config, Corpus, Direction, Task
from reproduction.runner import SCRIPTS

USER_DIR = SCRIPTS.parent / "user_dir"
FIRST = "A"
SPLITS = ("train", "test")
# Rankings of the neurons of one model that need no labels: the paper's baselines.
SINGLE = ("variance", "mean-distance")
# Built-in properties, each with the text that its classifier reads.
PROPERTIES = {"position": "auto", "months": "months"}


@dataclass(frozen=True)
class Model:
    """A kind of model, of which there is one a part: translation, or the language model of a side.

    Attributes:
        name: ``en-de`` or ``lm.en``.
        language: what it reads.
    """

    name: str
    language: str
    direction: Direction
    is_lm: bool

    def checkpoint(self, part: str) -> str:
        return f"models/{self.name}.{part}/checkpoint_best.pt"

    def bin(self, part: str) -> str:
        return f"bin/{self.name}.{part}"

    def acts(self, part: str, text: str) -> str:
        return f"acts/{self.name}.{part}.{text}"

    def probe(self, task: str) -> str:
        return f"probes/{self.name}.{task}"

    def ranking(self, part: str, method: str) -> str:
        return f"rankings/{self.name}.{part}/{method}.json"

    def sweep(self, part: str) -> str:
        return f"sweeps/{self.name}.{part}"


@dataclass(frozen=True)
class Layout:
    """A configuration, its data, and the names of what comes of them."""

    config: Config
    data: Path
    folder: Path

    @property
    def models(self) -> list[Model]:
        found = []
        for direction in self.config.directions:
            pair = f"{direction.source}-{direction.target}"
            found.append(Model(pair, direction.source, direction, is_lm=False))
        for direction in self.config.directions:
            found.append(Model(f"lm.{direction.source}", direction.source, direction, is_lm=True))
        return found

    def corpus(self, model: Model) -> Corpus:
        return self.config.corpora[model.direction.corpus]

    def tasks(self, language: str) -> dict[str, Task]:
        return self.config.languages[language].tasks

    def seconds(self, kind: str) -> float:
        return self.config.seconds.get(kind, 1.0)

    def data_files(self, paths: list[str]) -> list[str]:
        return [str(self.data / path) for path in paths]

    def text(self, corpus: str, split: str, language: str) -> str:
        return f"text/{corpus}.{split}.{language}"

    def gold_text(self, language: str, task: str) -> str:
        """The name of a task's hand-annotated text; tasks of the same files share it."""
        files = self.tasks(language)[task]
        for name, other in self.tasks(language).items():
            if (other.train, other.test) == (files.train, files.test):
                return f"gold-{name}"
        raise AssertionError(task)

    def probe_texts(self, language: str) -> Iterator[str]:
        """``auto`` and ``months``, of the training data's source side, and the annotated ones."""
        yield "auto"
        yield "months"
        yield from dict.fromkeys(self.gold_text(language, task) for task in self.tasks(language))

    def words(self, language: str, text: str, split: str) -> str:
        return f"probe-text/{language}.{text}.{split}"

    def tags(self, language: str, text: str, task: str, split: str) -> str:
        return f"probe-text/{language}.{text}.{split}.{task}"
