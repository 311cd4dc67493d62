"""The rows of a model over a corpus without a store: made in corpus order, when asked for."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .corpora import Corpus
from .extraction import ExtractionSettings, Reading, check_reading, describe_reading, words_read
from .interventions import tap
from .loading import Session

Float32 = npt.NDArray[np.float32]


class StreamedRows:
    """What a store of the same settings holds, ``[tokens, neurons]`` in float32, read forwards.

    A slice of rows begins where the last one ended, or is the last one again. It is overwritten
    when the next one is asked for; memory does not depend on the length of the corpus.

    Args:
        session: one model, its task and configuration.
        corpus: the sentences of the side that the layers are on.
        settings: layers and pooling; the type to store and the size of shards do not matter.

    Attributes:
        space: the layers whose neurons are the columns.
        words: of each sentence, one a row.
        manifest: what a store's manifest would say of model, corpus and settings.

    Raises:
        UserError: as `extract`; while rows are read an activation that is not finite.

    Usage::

        rows = StreamedRows(session, read_text(session, "text.en"), ExtractionSettings())
        rows[0:1000], rows[1000:1500]
    """

    ndim = 2
    dtype = np.dtype(np.float32)

    def __init__(self, session: Session, corpus: Corpus, settings: ExtractionSettings) -> None:
        self.space = check_reading(session, corpus, settings)
        self.words: Sequence[list[str]] = words_read(corpus, settings)
        self.manifest: dict[str, Any] = describe_reading(
            session, corpus, settings, self.space, command=()
        )
        lengths = np.fromiter(map(len, self.words), dtype=np.int64, count=len(self.words))
        self._offsets = np.concatenate([[0], np.cumsum(lengths)])
        self.shape: tuple[int, int] = (int(self._offsets[-1]), self.space.size)
        self._session, self._corpus, self._settings = session, corpus, settings
        self._blocks = self._read()
        self._unread: Float32 = np.empty((0, self.space.size), np.float32)
        self._held, self._last = self._unread, slice(0, 0)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice) -> Float32:
        start, stop, step = rows.indices(len(self))
        size = max(0, stop - start)
        if (start, stop, step) != (self._last.start, self._last.stop, 1):
            if step != 1 or start != self._last.stop:
                raise ValueError(f"rows {start} to {stop} are not next: {self._last.stop} is")
            self._fill(size)
            self._last = slice(start, start + size)
            if start + size == len(self):
                self._blocks.close()  # the model is left as it was
        return self._held[:size]

    def _fill(self, size: int) -> None:
        if size > len(self._held):
            self._held = np.empty((size, self.space.size), np.float32)
        filled = 0
        while filled < size:
            if not len(self._unread):
                self._unread = next(self._blocks)
            part = self._unread[: size - filled]
            self._held[filled : filled + len(part)] = part
            self._unread = self._unread[len(part) :]
            filled += len(part)

    def _read(self) -> Generator[Float32, None, None]:
        with tap(self._session.models[0], self._settings.layers) as layers:
            reading = Reading(
                *(self._session, self._corpus, self._settings, self.space, layers, self._offsets)
            )
            yield from reading.blocks(0, len(self._corpus), lambda sentences: None)
