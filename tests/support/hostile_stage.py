"""What the commands that are tried on hostile files need besides a checkpoint."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from fairseq.data import Dictionary
from fairseq.data.indexed_dataset import make_builder
from hostile_files import TRANSLATION
from tiny_models import TinyModels
from tiny_zoo import Zoo

from fairseq_neuron_plugin.neurons import Layer, NeuronSpace
from fairseq_neuron_plugin.ranking import Ranking

_LAYERS = {
    **{"lstm": ("encoder", 48), "lstm_lm": ("decoder", 48)},
    **{"transformer": ("encoder", 32), "transformer_lm": ("decoder", 32)},
}
SENTENCES = 3  # of the texts: a command that opens a file shall not take long over them


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
