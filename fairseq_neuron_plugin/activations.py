"""The activation store: the value of every neuron for every word of a corpus, on disk.

A folder with ``manifest.json``, ``activations-00000.npy``, … (``[tokens, neurons]``, readable with
``np.load(mmap_mode="r")``), ``offsets.npy`` (int64, ``[sentences + 1]``) and ``tokens.txt`` (one
sentence a line, one row a word, in corpus order).

While a store is being written its manifest is called ``partial.json``. A shard appears on disk
only when it is whole, so a killed run is continued by the same command.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .data.digests import FileDigest
from .errors import UserError
from .files import (
    StrPath,
    atomic_path,
    iter_lines,
    read_json,
    remove_leftovers,
    sha256,
    sha256_file,
    write_json,
)
from .neurons import NeuronSpace
from .packed_sentences import PackedSentences
from .sharded_rows import ShardedRows

FORMAT = "fairseq-neuron-activations/1"
ROWS_PER_SHARD = 65536
_MANIFEST, _PARTIAL = "manifest.json", "partial.json"


class Activations:
    """A complete activation store, opened for reading.

    Attributes:
        array: ``[tokens, neurons]``, memory-mapped; slices of rows read only these rows.
        offsets: int64 ``[sentences + 1]``; sentence ``i`` has rows ``offsets[i]:offsets[i + 1]``.
        layers: the layers whose neurons are the columns.
        manifest: how the store came about.

    Args:
        path: the folder.
        verify: read all files and compare them with their hashes in the manifest; otherwise the
            words, and of the activations sizes and a sample.

    Raises:
        UserError: no store, an unfinished one, or one whose files are not those that were written.
    """

    def __init__(self, path: StrPath, verify: bool = False) -> None:
        self.path = Path(path)
        self.manifest = _read_manifest(self.path)
        self.layers: NeuronSpace
        self.offsets: npt.NDArray[np.int64]
        self.array: npt.NDArray[Any] | ShardedRows
        try:
            self._check_files(verify)
            self._open()
            self._check()
        except (OSError, ValueError, KeyError, IndexError, EOFError) as error:
            raise self._damaged(repr(error)) from error

    def _open(self) -> None:
        self.layers = NeuronSpace.from_json(self.manifest["layers"])
        self.offsets = np.load(self.path / "offsets.npy")
        shards = [
            np.load(file, mmap_mode="r") for file in sorted(self.path.glob("activations-*.npy"))
        ]
        self.array = shards[0] if len(shards) == 1 else ShardedRows(shards)

    def __len__(self) -> int:
        return self.array.shape[0]

    @cached_property
    def sentences(self) -> list[list[str]]:
        """The words of each sentence, in corpus order; read when they are first asked for."""
        known: dict[str, str] = {}  # a word that occurs often is in memory once
        return [
            [known.setdefault(word, word) for word in line.split(" ")] if line else []
            for line in iter_lines(self.path / "tokens.txt", "activation store")
        ]

    @property
    def signature(self) -> str:
        """One line with every setting that can change the activations."""
        return str(self.manifest["signature"])

    @property
    def model_sha256(self) -> str | None:
        """SHA-256 of the checkpoint the activations were read from, if known."""
        sha256: str | None = (self.manifest.get("model") or {}).get("sha256")
        return sha256

    def words(self) -> list[str]:
        """All words in row order."""
        return [word for sentence in self.sentences for word in sentence]

    def _check_files(self, whole: bool) -> None:
        """Compare the files with their hashes; stores of earlier versions have only the words'."""
        expected = self.manifest.get("shards")
        shards = sorted(self.path.glob("activations-*.npy"))
        if expected is not None:
            if [shard.name for shard in shards] != sorted(expected):
                raise self._damaged(f"it has {len(shards)} shards instead of {len(expected)}")
            for shard in shards:
                difference = FileDigest.from_json(expected[shard.name]).differs(shard, whole)
                if difference:
                    raise self._damaged(f"{shard.name}: {difference}")
        words = self.manifest.get("tokens_sha256")
        if words is not None and sha256_file(self.path / "tokens.txt") != words:
            raise self._damaged("tokens.txt: its content has changed")

    def _damaged(self, what: str) -> UserError:
        return UserError(f"activation store {self.path} is damaged ({what}); extract it again")

    def _check(self) -> None:
        rows = int(self.offsets[-1])
        lines = iter_lines(self.path / "tokens.txt", "activation store")
        counts = _cumulate(line.count(" ") + 1 if line else 0 for line in lines)
        if self.array.shape != (rows, self.layers.size) or not np.array_equal(self.offsets, counts):
            raise self._damaged(
                f"{self.array.shape} values for {rows} words of {len(counts) - 1} sentences"
            )


class StoreWriter:
    """Writes an activation store shard by shard; takes up where a killed run ended.

    Args:
        path: the folder; free, empty, or an unfinished store with the same settings.
        sentences: the words of each sentence, in corpus order; one row a word.
        layers: the columns.
        dtype: ``float16`` or ``float32``.
        settings: further entries of the manifest; compared when a run is continued, all but
            ``command``.
        rows_per_shard: a shard ends with the sentence that reaches this many rows.

    Usage::

        writer = StoreWriter("acts", sentences, layers, "float32", {"model": …})
        for shard, first, last in writer.missing():
            writer.write(shard, rows_of(sentences[first:last]))
        writer.finish()

    Raises:
        UserError: the folder holds another run.
    """

    def __init__(
        self,
        path: StrPath,
        sentences: Sequence[Sequence[str]],
        layers: NeuronSpace,
        dtype: str,
        settings: Mapping[str, Any],
        rows_per_shard: int = ROWS_PER_SHARD,
    ) -> None:
        self.path = Path(path)
        self.layers = layers
        self.dtype = np.dtype(dtype)
        self.sentences = sentences
        self.offsets = _cumulate(map(len, sentences))
        if self.offsets[-1] == 0:
            raise UserError("the input is empty: there is no word to read activations for")
        self.shards = _shard_bounds(self.offsets, rows_per_shard)
        self.manifest = {
            "format": FORMAT,
            "layers": layers.to_json(),
            "dtype": self.dtype.name,
            "sentences": len(sentences),
            "tokens": int(self.offsets[-1]),
            "neurons": layers.size,
            "rows_per_shard": rows_per_shard,
            "tokens_sha256": sha256(_lines(sentences)),
            **settings,
        }
        self._made_folder = False
        self.complete = self._open()

    def missing(self) -> Iterator[tuple[int, int, int]]:
        """The shards that are not on disk: ``(shard, first sentence, last sentence + 1)``."""
        if self.complete:
            return
        for shard, (first, last) in enumerate(self.shards):
            if not self._shard_path(shard).exists():
                yield shard, first, last

    def write(self, shard: int, rows: npt.NDArray[Any]) -> None:
        """Write one shard, ``[tokens of its sentences, neurons]``.

        Raises:
            UserError: a value does not fit into float16.
        """
        self.write_blocks(shard, [rows])

    def write_blocks(self, shard: int, blocks: Iterable[npt.NDArray[Any]]) -> None:
        """As `write`, of blocks of consecutive rows, so that a shard need not fit into memory.

        A block is written while the next one is made: it may be changed only once the one after
        that is asked for.
        """
        first, last = self.shards[shard]
        shape = (int(self.offsets[last] - self.offsets[first]), self.layers.size)
        header = {"descr": self.dtype.str, "fortran_order": False, "shape": shape}
        written = 0
        with (
            atomic_path(self._shard_path(shard)) as partial,
            open(partial, "wb") as stream,
            ThreadPoolExecutor(1) as thread,
        ):
            np.lib.format.write_array_header_1_0(stream, header)
            last_write: Future[int] | None = None
            for rows in blocks:
                written += len(rows)
                if rows.ndim != 2 or rows.shape[1] != shape[1] or written > shape[0]:
                    raise ValueError(f"shard {shard} needs {shape} values, got {rows.shape}")
                stored = np.ascontiguousarray(self._stored(rows))
                if last_write is not None:
                    last_write.result()
                last_write = thread.submit(stream.write, stored.data)
            if last_write is not None:
                last_write.result()
            if written != shape[0]:
                raise ValueError(f"shard {shard} needs {shape} values, got {written} rows")

    def _stored(self, rows: npt.NDArray[Any]) -> npt.NDArray[Any]:
        with np.errstate(over="ignore"):
            stored = rows.astype(self.dtype, copy=False)
        if stored is not rows and not np.isfinite(stored).all() and np.isfinite(rows).all():
            raise UserError("an activation is too large for float16; use --dtype float32")
        return stored

    def finish(self) -> None:
        """Make the store complete."""
        if self.complete:
            return
        with atomic_path(self.path / "offsets.npy") as partial, open(partial, "wb") as stream:
            np.save(stream, self.offsets)
        with atomic_path(self.path / "tokens.txt") as partial, open(partial, "wb") as stream:
            stream.writelines(_lines(self.sentences))
        digests = {
            path.name: FileDigest.of(path).to_json()
            for path in map(self._shard_path, range(len(self.shards)))
        }
        write_json(self.path / _PARTIAL, {**self.manifest, "shards": digests})
        (self.path / _PARTIAL).replace(self.path / _MANIFEST)
        self.complete = True

    def discard_empty(self) -> None:
        """Leave nothing behind of a run that has written no shard."""
        if self.complete or any(
            self._shard_path(shard).exists() for shard in range(len(self.shards))
        ):
            return
        (self.path / _PARTIAL).unlink(missing_ok=True)
        if self._made_folder and not any(self.path.iterdir()):
            self.path.rmdir()

    def _open(self) -> bool:
        for name in (_MANIFEST, _PARTIAL):
            if (self.path / name).exists():
                self._check_same_run(read_json(self.path / name, "activation store"))
                remove_leftovers(self.path)
                return name == _MANIFEST
        remove_leftovers(self.path, _PARTIAL)  # of a run that was killed while it wrote this
        self._made_folder = not self.path.exists()
        if self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
            raise UserError(f"{self.path} exists and is no activation store; choose another folder")
        write_json(self.path / _PARTIAL, self.manifest)
        return False

    def _check_same_run(self, found: Mapping[str, Any]) -> None:
        # What says most first: a signature or a hash that differs explains little.
        for key in ["model", "corpus", "layers", *self.manifest, *found]:
            if key not in ("command", "shards") and _identity(found, key) != _identity(
                self.manifest, key
            ):
                raise UserError(
                    f"{self.path} holds another run: its {key} is {found.get(key)!r}, "
                    f"this one's is {self.manifest.get(key)!r}; choose another folder or remove it"
                )

    def _shard_path(self, shard: int) -> Path:
        return self.path / f"activations-{shard:05d}.npy"


def write_store(
    path: StrPath,
    array: npt.NDArray[Any],
    sentences: Sequence[Sequence[str]],
    layers: NeuronSpace,
    settings: Mapping[str, Any] | None = None,
    rows_per_shard: int = ROWS_PER_SHARD,
) -> Activations:
    """Write an array ``[tokens, neurons]`` as a store, e.g. one computed elsewhere."""
    given = {"model": None, "signature": "source:array", **(settings or {})}
    writer = StoreWriter(path, sentences, layers, array.dtype.name, given, rows_per_shard)
    for shard, first, last in writer.missing():
        writer.write(shard, array[writer.offsets[first] : writer.offsets[last]])
    writer.finish()
    return Activations(path)


def _read_manifest(path: Path) -> dict[str, Any]:
    if not path.exists():
        raise UserError(f"activation store not found: {path}")
    if (path / _PARTIAL).exists():
        raise UserError(f"activation store {path} is unfinished; run its extraction again")
    if not (path / _MANIFEST).exists():
        raise UserError(f"{path} is no activation store: it has no {_MANIFEST}")
    manifest = read_json(path / _MANIFEST, "activation store")
    if manifest.get("format") != FORMAT:
        raise UserError(f"{path} is no activation store of format {FORMAT}")
    return manifest


def _identity(manifest: Mapping[str, Any], key: str) -> Any:
    """An entry as far as it tells two runs apart: of a model its content, not where it lies."""
    value = manifest.get(key)
    return value.get("sha256") if key == "model" and isinstance(value, dict) else value


def _lines(sentences: Iterable[Sequence[str]]) -> Iterator[bytes]:
    """``tokens.txt``, line by line."""
    if isinstance(sentences, PackedSentences):
        return sentences.lines()
    return ((" ".join(words) + "\n").encode("utf-8") for words in sentences)


def _cumulate(counts: Iterable[int]) -> npt.NDArray[np.int64]:
    """Offsets of parts with these sizes, the end included."""
    return np.concatenate([[0], np.cumsum(np.fromiter(counts, dtype=np.int64))])


def _shard_bounds(offsets: npt.NDArray[np.int64], rows: int) -> list[tuple[int, int]]:
    """Sentence ranges, each the fewest sentences that reach ``rows`` rows."""
    bounds: list[tuple[int, int]] = []
    first, sentences = 0, len(offsets) - 1
    while first < sentences:
        last = int(np.searchsorted(offsets, offsets[first] + rows, side="left"))
        last = min(max(last, first + 1), sentences)
        if offsets[last] == offsets[-1]:
            last = sentences  # empty sentences at the end make no shard of their own
        bounds.append((first, last))
        first = last
    return bounds
