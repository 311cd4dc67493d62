"""The flags ``--ablate…``, and how a task comes to have them."""

# No postponed annotations here: fairseq reads the types of the fields at run time, and of optional
# ones it knows only the spelling Optional[…].

from collections.abc import Callable
from dataclasses import dataclass, field, fields, make_dataclass
from typing import Any, Optional, TypeVar

from fairseq.dataclass import FairseqDataclass
from fairseq.tasks import register_task

Task = TypeVar("Task", bound=type)


@dataclass
class AblationConfig(FairseqDataclass):
    """The flags; `register_neuron_task` mixes them into those of a task."""

    ablate: Optional[str] = field(
        default=None,
        metadata={
            "help": "neurons to clamp: a list such as 'encoder.layers.0:3,17-25', or a selection "
            "from a ranking such as 'RANKING.json:top:50', 'RANKING.json:bottom:10%%', "
            "'RANKING.json:label=VERB:top:20' (a label that holds | or ; in double quotes); "
            "for an ensemble one for all its models, or one for each: 'SPEC|SPEC'"
        },
    )
    ablate_value: str = field(
        default="0",
        metadata={
            "help": "what the ablated neurons are held at: a number, or 'mean', each neuron's mean "
            "over --ablate-acts"
        },
    )
    ablate_acts: Optional[str] = field(
        default=None,
        metadata={
            "help": "activation store that --ablate-value mean is taken over; for an ensemble one "
            "for all its models, or one for each: ACTS:ACTS"
        },
    )
    ablate_scope: str = field(
        default="recurrent",
        metadata={
            "help": "recurrent: clamped inside the recurrence; full: cell states are 0 too; "
            "output: only as the next layer and attention see it"
        },
    )
    ablate_layers: Optional[str] = field(
        default=None,
        metadata={"help": "globs of the layers that flat neuron ids count through"},
    )

    @classmethod
    def read(cls, settings: Any) -> "AblationConfig":
        """The flags out of a task's settings; those that an old checkpoint lacks get defaults."""
        flags = cls()
        for flag in fields(cls):
            value = getattr(settings, flag.name, None)
            if flag.name != "_name" and value is not None:
                setattr(flags, flag.name, str(value))
        return flags

    def changed(self) -> list[str]:
        """The flags that differ from their defaults, as they are written."""
        changed = [
            flag.name
            for flag in fields(self)
            if flag.name != "_name" and getattr(self, flag.name) != flag.default
        ]
        return [f"--{name.replace('_', '-')}" for name in changed]


def register_neuron_task(name: str) -> Callable[[Task], Task]:
    """Register a task with fairseq, with the flags of the ablation added to the task's own.

    See `AblationMixin` for its use. A task with a dataclass gets one that has the flags too; to the
    parser of any other the mixin adds them.
    """

    def register(task: Task) -> Task:
        config = getattr(task, "__dataclass", None)  # of the task it derives from
        if config is not None:
            config = make_dataclass(
                f"{task.__name__}Config",
                (),
                bases=(AblationConfig, config),
                namespace={"__module__": task.__module__, "__doc__": f"Settings of ``{name}``."},
            )
        registered: Task = register_task(name, dataclass=config)(task)
        return registered

    return register
