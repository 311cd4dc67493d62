"""What the explorer's page asks a model: activations over a sentence, translations under clamps."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..activations import Activations
from ..analysis.histogram import Distribution
from ..analysis.neuron_card import CardSettings, neuron_card
from ..analysis.top_words import TopWords
from ..corpora import read_text
from ..corpora.reading import is_language_model
from ..errors import UserError
from ..evaluation.control import Control, control
from ..evaluation.decoding import Translator, build_tokenizer
from ..evaluation.evaluator import Intervention
from ..extraction import ExtractionSettings, side_of
from ..files import sha256_file
from ..interventions import list_layers
from ..loading import Session
from ..neurons import NeuronSpace, choose_layers
from ..ranking import Ranking
from ..rankings.moments import Columns
from ..specs import parse_settings, ranking_space
from ..streaming import StreamedRows

Float32 = npt.NDArray[np.float32]
MOST_WORDS = 200  # in a sentence that somebody types


@dataclass(frozen=True)
class SentenceActivations:
    """Every neuron over one sentence.

    Attributes:
        words: as the model reads them: tokenised, not segmented into subwords.
        values: float32 ``[words, neurons]``.
    """

    words: tuple[str, ...]
    values: Float32


@dataclass(frozen=True)
class Known:
    """What a store says of a neuron: its distribution, and the words that drive it."""

    distribution: Distribution
    top_words: TopWords


class Engine:
    """A translation model whose neurons are looked at and held, one request at a time.

    Args:
        session: one model, its task and fairseq's generation flags.
        stores: activations of the model's encoder, for what is known of its neurons; may be none.
        rankings: by name, over the same neurons.

    Attributes:
        space: the layers whose neurons are shown.

    Raises:
        UserError: a language model, stores or rankings of another checkpoint or of other layers.
    """

    def __init__(
        self,
        session: Session,
        stores: Sequence[Activations] = (),
        rankings: Mapping[str, Ranking] | None = None,
    ) -> None:
        if is_language_model(session):
            raise UserError("a language model translates nothing; the explorer needs an encoder")
        self.session = session
        self.rankings = dict(rankings or {})
        self._available = list_layers(session.models[0])
        self.space = stores[0].layers if stores else choose_layers(self._available, None)
        self._pooling = stores[0].manifest.get("pool", "last") if stores else "last"
        self._tokenizer = build_tokenizer(session)
        self._lock = threading.Lock()
        self._check(stores)
        self._store = max(stores, key=len, default=None)
        self.known = lru_cache(maxsize=512)(self._known)

    def read(self, sentence: str) -> SentenceActivations:
        """Activations of every neuron for every word, as `extract` would store them.

        Raises:
            UserError: an empty sentence, or one that is too long.
        """
        line = self._checked(sentence)
        if self._tokenizer is not None:
            line = self._tokenizer.encode(line)
        with self._lock, tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "sentence"
            path.write_text(f"{line}\n", "utf-8")
            corpus = read_text(self.session, path)
            settings = ExtractionSettings(
                ",".join(layer.name for layer in self.space.layers), self._pooling
            )
            rows = StreamedRows(self.session, corpus, settings)
            values = np.array(rows[0 : len(rows)])
        return SentenceActivations(tuple(rows.words[0]), values)

    def translate(self, sentence: str, settings: str, scope: str = "recurrent") -> Control:
        """The translations without and with neurons held at values.

        They are those of ``fairseq-neuron-generate --set SETTINGS --input`` over this one line.

        Args:
            sentence: as it would stand in the input file.
            settings: e.g. ``encoder.layers.1:58=10;encoder.layers.0:3,17=-1``; empty: none.
            scope: of the clamps.

        Raises:
            UserError: an empty sentence or one that is too long, settings that cannot be read.
        """
        line = self._checked(sentence)
        held = Intervention({}, 0.0, scope)
        if settings.strip():
            held = Intervention(*parse_settings(settings, self._available), scope)
        with self._lock:
            return control(Translator(self.session, [line]), held, [line])

    def neuron(self, text: str) -> int:
        """The flat id that a readable name or a number means.

        Raises:
            UserError: no neuron, or more than one.
        """
        ids = self.space.parse(text.strip())
        if len(ids) != 1:
            raise UserError(f"one neuron is wanted, not {len(ids)}: {text!r}")
        return ids[0]

    def most_active(self, found: SentenceActivations, amount: int) -> list[int]:
        """Flat ids of the neurons that this sentence moves most.

        By the largest distance from the neuron's mean in the store, in standard deviations where
        there is one, else by the largest size.
        """
        values = np.abs(found.values.astype(np.float64))
        if self._store is not None:
            mean, deviation = self._moments
            values = np.abs(found.values - mean) / np.where(deviation > 0, deviation, np.inf)
        order = np.argsort(-values.max(axis=0), kind="stable")
        return [int(neuron) for neuron in order[:amount]]

    def _known(self, neuron: int) -> Known | None:
        """What the store says of a neuron; None without a store."""
        if self._store is None:
            return None
        with self._lock:
            settings = CardSettings(min_count=min(5, 1 + len(self._store) // 1000), examples=0)
            card = neuron_card(self._store, neuron, settings=settings)
        return Known(card.distribution, card.top_words)

    @cached_property
    def _moments(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Mean and standard deviation of every neuron in the store, ``[neurons]`` each."""
        assert self._store is not None
        columns = Columns(self._store.array, "activations").read_all()
        return columns.means, np.sqrt(columns.variances)

    def _checked(self, sentence: str) -> str:
        line = " ".join(sentence.split())
        if not line:
            raise UserError("type a sentence first")
        if len(line.split(" ")) > MOST_WORDS:
            raise UserError(f"at most {MOST_WORDS} words, please")
        return line

    def _check(self, stores: Sequence[Activations]) -> None:
        model = sha256_file(self.session.paths[0])
        if side_of(self.session.models[0], self.space) != "source":
            raise UserError("the explorer shows neurons of the encoder: give a store of these")
        for store in stores:
            if store.model_sha256 not in (None, model):
                raise UserError(f"activation store {store.path} is of another checkpoint")
            if store.layers != self.space:
                raise UserError(
                    f"activation store {store.path} is over {store.layers.describe()}, another "
                    f"over {self.space.describe()}: give stores of the same layers"
                )
        for name, ranking in self.rankings.items():
            if ranking.model not in (None, model):
                raise UserError(f"ranking {name} is of another checkpoint")
            if ranking_space(ranking, self._available, name) != self.space:
                raise UserError(f"ranking {name} is over other layers than the store")


def plain_range(found: Distribution | None, values: Float32) -> float:
    """How far, either way from 0, it is of use to hold a neuron: well beyond what it ever does."""
    sizes = [float(np.abs(values).max(initial=0.0))]
    if found is not None:
        sizes += [abs(found.minimum), abs(found.maximum)]
    return float(max(10.0, np.ceil(3 * max(sizes))))


def format_settings(held: Mapping[int, float], space: NeuronSpace) -> str:
    """Neurons and values as the text of ``--set``.

    >>> from fairseq_neuron_plugin.neurons import Layer
    >>> space = NeuronSpace((Layer("encoder.layers.0", 4),))
    >>> format_settings({3: 0.5, 1: -1.0, 2: 0.5}, space)
    'encoder.layers.0:1=-1;encoder.layers.0:2-3=0.5'
    """
    by_value: dict[float, list[int]] = {}
    for neuron in sorted(held):
        by_value.setdefault(held[neuron], []).append(neuron)
    parts = []
    for value, neurons in by_value.items():
        for layer, ids in space.by_layer(neurons).items():
            parts.append(f"{layer}:{format_ranges(ids)}={value:.6g}")
    return ";".join(parts)


def format_ranges(ids: Sequence[int]) -> str:
    """``3,17-25``."""
    parts: list[list[int]] = []
    for number in ids:
        if parts and number == parts[-1][-1] + 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    return ",".join(str(part[0]) if len(part) == 1 else f"{part[0]}-{part[-1]}" for part in parts)
