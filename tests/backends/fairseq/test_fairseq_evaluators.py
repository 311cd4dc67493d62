"""Every call in fairseq's sources that could run code or open a file has been looked at.

What somebody found about each stands in ``fairseq_evaluators.tsv``, with the version of fairseq it
is in. ``python tests/support/fairseq_calls.py FOLDER`` prints the first columns for another one,
and ``$FAIRSEQ_SOURCES`` names more such folders to check, separated as in ``$PATH``.
"""

from __future__ import annotations

import csv
import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import pytest
from fairseq_calls import find_calls, version

from fairseq_neuron_plugin.backends.fairseq.checkpoints import fairseq_tables
from fairseq_neuron_plugin.backends.fairseq.checkpoints.settings import (
    EVALUATED_SETTINGS,
    NAMED_FILE_SETTINGS,
)

TABLE = Path(__file__).parents[2] / "support" / "fairseq_evaluators.tsv"
VERDICTS = {
    "setting": "evaluates these settings: they have to be literals",
    "file": "opens or runs what these settings name: they are emptied",
    "reader": "reads a checkpoint: our reader takes its place",
    "command line": "takes what the user gave on the command line",
    "Python interface": "takes what the caller of from_pretrained gives",
    "data": "opens files of the folder of the data, or of what these name",
    "training": "is reached in training alone, with the settings of the command line",
    "own modules": "imports modules of the folder it stands in",
    "fixed name": "has nothing variable in it but tensors",
    "literal": "another function of that name, which takes literals alone",
    "definition": "the evaluators themselves: their callers are listed",
    "script": "stands in a script that nothing imports",
    "unused": "nothing calls it",
}


class Row(NamedTuple):
    versions: str
    module: str
    call: str
    verdict: str

    def is_of(self, release: str) -> bool:
        """Of 0.12.3.1, too, if it is of 0.12.3."""
        return self.versions == "both" or release.startswith(self.versions)


def rows() -> list[Row]:
    with open(TABLE, encoding="utf-8", newline="") as file:
        lines = csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        assert next(lines) == list(Row._fields)
        return [Row(*line) for line in lines]


def folders() -> list[Path]:
    """The folder of the installed fairseq, and what ``$FAIRSEQ_SOURCES`` names."""
    further = os.environ.get("FAIRSEQ_SOURCES", "").split(os.pathsep)
    installed = find_spec("fairseq").submodule_search_locations[0]
    return [Path(installed).parent, *(Path(folder) for folder in further if folder)]


@pytest.fixture(scope="module", params=folders(), ids=str)
def folder(request):
    return request.param


@pytest.fixture(scope="module")
def calls(folder):
    return list(find_calls(folder))


def test_nobody_has_to_look_at_a_new_call(folder, calls):
    known = {(row.module, row.call) for row in rows()}
    new = [
        f"{folder / module}:{line}: {call}"
        for module, line, call in calls
        if (module, call) not in known
    ]
    assert not new, "\n".join(["calls that nobody has looked at:", *new])


def test_every_row_is_still_there(folder, calls):
    release = version(folder)
    if not any(row.is_of(release) and row.versions != "both" for row in rows()):
        pytest.skip(f"the table is not of fairseq {release}")
    there = {(module, call) for module, _, call in calls}
    gone = [row for row in rows() if row.is_of(release) and (row.module, row.call) not in there]
    assert not gone, gone


def test_verdicts():
    """What a verdict names is in the table of settings, of the same module where it can be."""
    for row in rows():
        verdict, _, names = row.verdict.partition(": ")
        assert verdict in VERDICTS, row
        settings = names.split()
        if verdict == "setting":
            module = row.module.removeprefix("fairseq/")
            assert settings, row
            assert set(settings) <= EVALUATED_SETTINGS, row
            assert set(settings) <= fairseq_tables.EVALUATED[module].keys(), row
            assert {fairseq_tables.EVALUATED[module][name] for name in settings} == {
                row.call.partition("(")[0].rpartition(".")[2]
            }, row
        elif verdict == "file":
            module = row.module.removeprefix("fairseq/")
            assert settings, row
            assert set(settings) <= NAMED_FILE_SETTINGS.keys(), row
            assert set(settings) & fairseq_tables.NAMED_FILES[module].keys(), row
        else:
            assert not settings, row


def test_every_evaluated_setting_has_a_row():
    found = {
        (row.module.removeprefix("fairseq/"), name)
        for row in rows()
        if row.verdict.startswith("setting: ")
        for name in row.verdict.removeprefix("setting: ").split()
    }
    table = {
        (module, name) for module, settings in fairseq_tables.EVALUATED.items() for name in settings
    }
    assert found == table


def test_named_files_are_spelled_as_in_the_sources(folder):
    if not version(folder).startswith("0.12.3"):
        pytest.skip("older versions lack some")
    for module, settings in fairseq_tables.NAMED_FILES.items():
        text = (folder / "fairseq" / module).read_text(encoding="utf-8")
        for name in settings:
            assert name in text or name.replace("_", "-") in text, (module, name)


def test_what_is_found(tmp_path):
    """The search sees calls, attributes and mentions, and nothing that is only like them."""
    module = tmp_path / "fairseq" / "tasks" / "new.py"
    module.parent.mkdir(parents=True)
    (tmp_path / "fairseq_cli").mkdir()
    module.write_text(
        "import builtins, subprocess, utils\n"
        "model.eval()\n"
        "eval(\n    args.first\n)\n"
        "builtins.exec(code)\n"
        "re.compile(pattern)\n"
        "parser.add_argument('--flag', type=utils.eval_bool)\n"
        "utils.eval_str_list(eval(args.inner), type=int)\n"
        "subprocess.run(args.program)\n"
        "with open(args.path) as file:\n    pass\n"
        "sorted(names, key=eval)\n"
    )
    assert [(line, call) for _, line, call in find_calls(tmp_path)] == [
        (3, "eval( args.first )"),
        (6, "builtins.exec(code)"),
        (8, "utils.eval_bool"),
        (9, "utils.eval_str_list(eval(args.inner), type=int)"),
        (9, "eval(args.inner)"),
        (10, "subprocess.run(args.program)"),
        (11, "open(args.path)"),
        (13, "eval"),
    ]


def test_a_new_call_is_named_with_its_line(tmp_path):
    (tmp_path / "fairseq").mkdir()
    (tmp_path / "fairseq_cli").mkdir()
    (tmp_path / "fairseq" / "new.py").write_text("\nvalue = eval(args.something_new)\n")
    with pytest.raises(AssertionError, match=r"new\.py:2: eval\(args\.something_new\)"):
        test_nobody_has_to_look_at_a_new_call(tmp_path, find_calls(tmp_path))


def test_the_examples_are_loaded_by_nobody(folder):
    """Their rows list evaluators alone, because a user has to ask for them with --user-dir."""
    assert not any(name.startswith("fairseq.examples") for name in sys.modules)
    for file in (folder / "fairseq").rglob("*.py"):
        if "examples" not in file.relative_to(folder).parts:
            assert "fairseq.examples" not in file.read_text(encoding="utf-8"), file
