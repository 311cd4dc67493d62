"""Load checkpoints without running code from them, and report what is wrong in one line."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from .backends.fairseq.checkpoints.named_files import check_named_files
from .backends.fairseq.checkpoints.names import checkpoint_file, checkpoint_files
from .backends.fairseq.checkpoints.read import read_settings
from .backends.fairseq.flags import Command
from .backends.fairseq.given_flags import given_settings, refuse_ignored
from .compat import require_fairseq
from .errors import UserError
from .files import StrPath


def check_checkpoint(path: StrPath) -> Mapping[str, Any]:
    """Read the configuration of a checkpoint, which runs nothing of the file.

    Returns:
        ``args`` and ``cfg``; see `read_checkpoint`.

    Raises:
        UserError: missing, damaged, no fairseq checkpoint, or with settings that are more than
            data.
    """
    return read_settings(path)


def saved_settings(state: Mapping[str, Any], part: str) -> Mapping[str, Any]:
    """The settings of the ``model`` or the ``task`` in a checkpoint, of any age."""
    args = state.get("args")
    settings = state["cfg"][part] if args is None else args  # fairseq prefers them, too
    return settings if isinstance(settings, Mapping) else vars(settings)


def _check_known(path: StrPath, state: Mapping[str, Any], with_task: bool) -> None:
    """`UserError` if fairseq has no such architecture, or no such task."""
    from fairseq.models import ARCH_MODEL_REGISTRY, MODEL_REGISTRY
    from fairseq.tasks import TASK_REGISTRY

    asked: list[tuple[str, str, tuple[Mapping[str, Any], ...]]] = [
        ("model", "arch", (ARCH_MODEL_REGISTRY, MODEL_REGISTRY))
    ]
    if with_task:
        asked.append(("task", "task", (TASK_REGISTRY,)))
    for part, old_key, registries in asked:
        settings = saved_settings(state, part)
        name = settings.get("_name") or settings.get(old_key)
        if name and not any(name in registry for registry in registries):
            what = {"model": "architecture", "task": "task"}[part]
            raise UserError(
                f"checkpoint {path} is of {what} {name}, which is not known here; give --user-dir"
            )


def load_model(
    path: StrPath, data: StrPath | None = None, overrides: Mapping[str, Any] | None = None
) -> tuple[nn.Module, Any]:
    """Load one fairseq checkpoint for evaluation.

    Args:
        path: the checkpoint.
        data: the folder with its dictionaries; None means the one it was trained with.
        overrides: further settings of the checkpoint to change.

    Returns:
        The model, in evaluation mode, and its fairseq task.

    Raises:
        UserError: the checkpoint or the data folder cannot be used.
    """
    require_fairseq()
    from . import register  # noqa: F401  (the plugin's own architectures)

    file = checkpoint_file(path)
    changes = dict(overrides or {})
    check_named_files(file, saved_settings(check_checkpoint(file), "task"), changes)
    # The validation of a training has its own generator, and a tokenizer that may be missing.
    changes.setdefault("eval_bleu", False)
    if data is not None:
        changes["data"] = str(data)
    models, _, task = load_ensemble([file], changes)
    return models[0], task


def load_ensemble(
    paths: Sequence[StrPath], overrides: Mapping[str, Any], task: Any = None
) -> tuple[list[nn.Module], Any, Any]:
    """Models in evaluation mode, their saved configuration, and the task.

    Args:
        paths: one checkpoint or an ensemble.
        overrides: settings of the checkpoint to change, as with ``--model-overrides``.
        task: the task to build the models for; None means the one in the checkpoint.

    Raises:
        UserError: a checkpoint or the data folder cannot be used.
    """
    from fairseq import checkpoint_utils

    files = [str(checkpoint_file(path)) for path in paths]  # what fairseq is going to read
    for file in files:
        _check_known(file, check_checkpoint(file), with_task=task is None)
    with user_errors(f"checkpoint {files[0]}"):
        models, saved, task = checkpoint_utils.load_model_ensemble_and_task(
            files, arg_overrides=dict(overrides), task=task
        )
    for model in models:
        model.eval()
    return models, saved, task


@contextmanager
def user_errors(what: str) -> Iterator[None]:
    """Turn what fairseq raises for wrong paths, flags and unfitting files into `UserError`."""
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    try:
        yield
    except FileNotFoundError as error:
        raise UserError(f"{what}: not found: {error.filename or error}") from error
    except KeyError as error:
        raise UserError(f"{what} lacks {error}") from error
    except RuntimeError as error:
        if "Error(s) in loading state_dict" not in str(error):
            raise
        detail = str(error).splitlines()[1].strip()
        raise UserError(
            f"{what} does not fit the architecture or the dictionaries of the data: {detail}"
        ) from error
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(f"{what} cannot be used: {str(error).splitlines()[0]}") from error
    except (ValueError, AssertionError, TypeError, IndexError, AttributeError) as error:
        if "cannot mmap an empty file" in str(error):
            raise UserError(f"{what}: the split is empty: it holds no sentence") from error
        detail = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{what} cannot be used: {detail[:300]}") from error
    except Exception as error:
        if "Could not infer language pair" not in str(error):
            raise
        raise UserError(
            f"{what}: no language pair found; give --source-lang and --target-lang"
        ) from error


@dataclass(frozen=True)
class Session:
    """What a command of fairseq's generation family has loaded.

    Attributes:
        cfg: fairseq's configuration, from its flags.
        task: the fairseq task.
        models: the ensemble, in evaluation mode, on its device, in its precision.
        saved_task_cfg: the task's configuration in the checkpoint, which datasets ask for.
        paths: the checkpoints: the files that were read.
        cuda: whether samples have to go to the GPU.
        given: settings that the flags change, each with the flag as it was written.
    """

    cfg: Any
    task: Any
    models: list[nn.Module]
    saved_task_cfg: Any
    paths: list[str]
    cuda: bool
    given: Mapping[str, str] = field(default_factory=dict)

    def refuse_ignored(self, command: Command) -> None:
        """`UserError` that names a flag which has no effect with a command, if one was given."""
        refuse_ignored(self.given, command, self.cfg.task._name)

    def load_split(self, split: str) -> Any:
        """A binarised split of the data folder."""
        with user_errors(f"split {split} of the data folder {self.cfg.task.data}"):
            self.task.load_dataset(split, task_cfg=self.saved_task_cfg)
        return self.task.dataset(split)

    def build_bpe(self) -> Any:
        """fairseq's subword encoder of ``--bpe``, or None.

        Raises:
            UserError: it cannot be made, for want of its codes or its model, say.
        """
        try:
            return self.task.build_bpe(self.cfg.bpe)
        except (Exception, SystemExit) as error:
            name = getattr(self.cfg.bpe, "_name", self.cfg.bpe)
            raise UserError(f"--bpe {name} cannot be used: {error}") from error

    def to_device(self, sample: Any) -> Any:
        """A batch where the models are."""
        from fairseq import utils

        return utils.move_to_cuda(sample) if self.cuda else sample


def open_session(
    arguments: Sequence[str],
    default_task: str = "translation",
    language_model: bool = False,
    command: Command | None = None,
) -> Session:
    """Parse fairseq's generation flags, and load the task and the models as fairseq does.

    Args:
        arguments: e.g. ``["data-bin", "--path", "checkpoint_best.pt", "--beam", "5"]``.
        default_task: what ``--task`` is if it is not given.
        language_model: take the flags of fairseq-eval-lm instead.
        command: what the session is for; flags that have no effect there are refused.

    Raises:
        UserError: wrong flags, or a checkpoint or data folder that cannot be used.
    """
    require_fairseq()
    from fairseq import tasks, utils
    from fairseq.dataclass.utils import convert_namespace_to_omegaconf

    from . import register  # noqa: F401  (the plugin's own tasks and architectures)

    with user_errors("the command line"):
        parsed, given = _parse_flags(arguments, default_task, language_model)
        if command is not None:
            refuse_ignored(given, command, parsed.task)
        cfg = convert_namespace_to_omegaconf(parsed)
    if not cfg.common_eval.path:
        raise UserError("--path is missing: which checkpoint?")
    files = checkpoint_files(
        cfg.common_eval.path,
        cfg.checkpoint.checkpoint_suffix,
        cfg.checkpoint.checkpoint_shard_count,
    )
    data = utils.split_paths(cfg.task.data or "")
    if not data or not Path(data[0]).is_dir():
        raise UserError(f"data folder not found: {cfg.task.data}")
    utils.import_user_module(cfg.common)
    with user_errors(f"data folder {cfg.task.data}"):
        task = tasks.setup_task(cfg.task)
    overrides = _model_overrides(cfg.common_eval.model_overrides)
    models, saved, _ = load_ensemble(files, overrides, task)
    cuda = torch.cuda.is_available() and not cfg.common.cpu
    for model in models:
        if cfg.common.fp16:
            model.half()
        if cuda:
            model.cuda()
        model.prepare_for_inference_(cfg)  # type: ignore[operator]
    return Session(cfg, task, models, saved.task, list(map(str, files)), cuda, given)


def _parse_flags(
    arguments: Sequence[str], default_task: str, language_model: bool
) -> tuple[argparse.Namespace, dict[str, str]]:
    """fairseq's flags, and which settings they change."""
    from fairseq import options
    from fairseq.data import data_utils

    make_parser = options.get_eval_lm_parser if language_model else options.get_generation_parser
    parser = make_parser(default_task=default_task)

    def refuse(message: str) -> None:
        raise UserError(message)

    parser.error = refuse
    # The one default of fairseq that loses data: 8 drops the last sentences of a split.
    parser.set_defaults(required_batch_size_multiple=1)
    parsed: argparse.Namespace = options.parse_args_and_arch(parser, list(arguments))
    given = given_settings(parser, arguments, parsed)
    if getattr(parsed, "context_window", 0) and hasattr(parsed, "tokens_per_sample"):
        parsed.tokens_per_sample -= parsed.context_window  # as fairseq-eval-lm: room for it
        if parsed.tokens_per_sample < 1:
            raise UserError("--context-window has to be smaller than --tokens-per-sample")
    folder = (getattr(parsed, "data", None) or "").split(":")[0]
    if hasattr(parsed, "source_lang") and not parsed.source_lang and Path(folder).is_dir():
        # As the task does itself, but before a tokenizer asks for the languages.
        parsed.source_lang, parsed.target_lang = data_utils.infer_language_pair(folder)
    return parsed, given


def _model_overrides(text: str) -> dict[str, Any]:
    import ast

    try:
        overrides = ast.literal_eval(text)
    except (ValueError, SyntaxError) as error:
        raise UserError(f"--model-overrides is no Python dictionary: {text}") from error
    if not isinstance(overrides, dict):
        raise UserError(f"--model-overrides is no Python dictionary: {text}")
    return overrides
