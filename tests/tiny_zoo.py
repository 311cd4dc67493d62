"""One tiny checkpoint of each further kind, trained by a fairseq command when first asked for."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from tiny_models import SIZES, USER_DIR, TinyModels, run

_COMMON = (
    *("--optimizer", "adam", "--lr", "0.005", "--lr-scheduler", "inverse_sqrt"),
    *("--warmup-updates", "60", "--batch-size", "32", "--max-epoch", "3", "--clip-norm", "1.0"),
    *("--dropout", "0.1", "--no-progress-bar", "--no-epoch-checkpoints", "--seed", "1"),
    *("--num-workers", "0"),
)
_LSTM_LM = (
    *("--decoder-embed-dim", "32", "--decoder-hidden-size", "48", "--decoder-out-embed-dim", "32"),
    *("--decoder-layers", "2", "--adaptive-softmax-cutoff", "10,20"),
)
# Not eos: stock fairseq's code for it does not run on numpy 2 without the plugin's shim.
_LM = (
    *("--task", "language_modeling", "--sample-break-mode", "none"),
    *("--tokens-per-sample", "64", "--required-batch-size-multiple", "1"),
)
_TRANSFORMER = (
    *("--encoder-embed-dim", "32", "--encoder-ffn-embed-dim", "64", "--encoder-layers", "2"),
    *("--encoder-attention-heads", "4", "--decoder-embed-dim", "32", "--decoder-layers", "2"),
    *("--decoder-ffn-embed-dim", "64", "--decoder-attention-heads", "4"),
)
_TRANSFORMER_LM = (
    *("--decoder-embed-dim", "32", "--decoder-ffn-embed-dim", "64", "--decoder-layers", "2"),
    *("--decoder-attention-heads", "4"),
)
_PAIRS = ("--lang-pairs", "en-de,de-en")

# name: data folder, flags of fairseq-train. Nothing of the plugin in any but the neuron_ one.
_RECIPES: dict[str, tuple[str, tuple[str, ...]]] = {
    "lstm_lm": ("text", ("--arch", "lstm_lm", *_LM, *_LSTM_LM)),
    "neuron_lstm_lm": (
        "text",
        ("--user-dir", USER_DIR, "--arch", "neuron_lstm_lm", *_LM, *_LSTM_LM),
    ),
    "transformer_lm": ("text", ("--arch", "transformer_lm", *_LM, *_TRANSFORMER_LM)),
    "transformer": ("pair", ("--arch", "transformer", *_TRANSFORMER)),
    "transformer_prenorm": (
        "pair",
        (
            *("--arch", "transformer", *_TRANSFORMER, "--encoder-normalize-before"),
            *("--decoder-normalize-before", "--activation-fn", "gelu"),
        ),
    ),
    "multi_simple_epoch": (
        "joined",
        (
            *("--task", "translation_multi_simple_epoch", "--arch", "transformer", *_TRANSFORMER),
            *(*_PAIRS, "--encoder-langtok", "src", "--decoder-langtok", "--share-all-embeddings"),
        ),
    ),
    "multilingual": (
        "joined",
        (
            *("--task", "multilingual_translation", "--arch", "multilingual_transformer"),
            *(*_TRANSFORMER, *_PAIRS, "--share-encoders", "--share-decoders"),
            *("--encoder-langtok", "tgt"),
        ),
    ),
    "lstm_shared": (
        "joined",
        (
            *("--arch", "lstm", *SIZES, "-s", "en", "-t", "de", "--share-all-embeddings"),
            *("--decoder-attention", "1"),
        ),
    ),
}


@dataclass
class Zoo:
    """Checkpoints by name, made on demand.

    Names: ``lstm_lm``, ``neuron_lstm_lm``, ``transformer_lm`` (English, data folder
    ``data("text")``); ``transformer``, ``transformer_prenorm`` (English to German,
    ``data("pair")``, the folder of `TinyModels`); ``multi_simple_epoch``, ``multilingual`` (both
    directions, one dictionary, ``data("joined")``); ``lstm_shared`` (en-de, all embeddings shared,
    ``data("joined")``).
    """

    tiny: TinyModels
    alone: Callable[[Path], AbstractContextManager[None]]

    def data(self, kind: str) -> Path:
        """A binarised folder: ``text``, ``pair`` or ``joined``."""
        if kind == "pair":
            return self.tiny.data
        folder = self.tiny.folder / f"data-{kind}"
        self._once(folder, lambda partial: self._binarise(kind, partial))
        return folder

    def checkpoint(self, name: str) -> Path:
        """The checkpoint of that name; trained within seconds if it is not there yet."""
        kind, flags = _RECIPES[name]
        data, folder = self.data(kind), self.tiny.folder / name

        def train(partial: Path) -> None:
            run("fairseq-train", data, *_COMMON, *flags, "--save-dir", partial)

        self._once(folder, train)
        return folder / "checkpoint_best.pt"

    def _once(self, folder: Path, make: Callable[[Path], None]) -> None:
        if folder.exists():
            return
        partial = folder.with_name(f"{folder.name}.partial")
        with self.alone(folder.with_name(f"{folder.name}.lock")):
            if not folder.exists():
                make(partial)
                partial.rename(folder)

    def _binarise(self, kind: str, folder: Path) -> None:
        corpus = self.tiny.corpus
        languages: tuple[str, ...] = ("-s", "en", "-t", "de", "--joined-dictionary")
        ending = ""
        if kind == "text":
            languages, ending = ("--only-source",), ".en"
        run(
            *("fairseq-preprocess", *languages, "--destdir", folder),
            *("--trainpref", f"{corpus}/train.A{ending}", "--validpref", f"{corpus}/valid{ending}"),
            *("--testpref", f"{corpus}/test{ending}"),
        )
