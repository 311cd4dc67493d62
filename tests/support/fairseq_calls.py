"""Calls in the sources of fairseq that run code, import modules or open files.

``python tests/support/fairseq_calls.py FOLDER`` prints those of the fairseq that is installed in a
folder, in the form of ``fairseq_evaluators.tsv``, less what somebody has to say about each.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

_EVALUATORS = {"eval", "exec", "compile", "__import__"}
_EVALUATORS_OF_FAIRSEQ = {"eval_bool", "eval_str_list", "eval_str_dict"}
_RUNNING = {
    *("import_module", "import_user_module", "from_pretrained", "instantiate", "load_library"),
    *("spec_from_file_location", "run_path", "run_module", "LoadLibrary", "CDLL", "Unpickler"),
}
_RUNNING_DOTTED = {
    *("pickle.load", "pickle.loads", "torch.load", "th.load", "torch.jit.load", "torch.hub.load"),
    *("torch.hub.load_state_dict_from_url", "yaml.load", "yaml.unsafe_load", "joblib.load"),
    *("dill.load", "dill.loads", "marshal.loads", "shelve.open", "os.system", "os.popen"),
    "np.load",
}
_RUNNING_MODULES = ("subprocess.", "os.exec", "os.spawn", "runpy.")
_OPENING = {
    *("open", "parse_embedding", "load_checkpoint_to_cpu", "load_model_ensemble"),
    *("load_model_ensemble_and_task", "load_pretrained_component_from_model"),
    *(
        "maybe_load_pretrained",
        "load_dictionary",
        "load_langs",
        "upgrade_state_dict_with_xlm_weights",
    ),
}
_OPENING_DOTTED = {"Dictionary.load", "MaskedLMDictionary.load", "BertDictionary.load"}
# What a file has to hold to be worth a look.
_ANY = re.compile(
    "|".join(
        rf"\b{re.escape(name.rpartition('.')[2] or name)}"
        for names in (
            *(_EVALUATORS, _EVALUATORS_OF_FAIRSEQ, _RUNNING, _RUNNING_DOTTED, _RUNNING_MODULES),
            *(_OPENING, _OPENING_DOTTED),
        )
        for name in sorted(names)
    )
)
# Where fairseq builds tasks, models and criterions.
_BUILDING = re.compile(
    r"fairseq/(criterions|data/multilingual|model_parallel|models|modules|tasks)/"
)
# Scripts, and code that a user loads with --user-dir: nothing in fairseq imports them.
_EXAMPLES = re.compile(r"fairseq/examples/")


def find_calls(folder: Path) -> Iterator[tuple[str, int, str]]:
    """Find the calls, and mentions of such functions as values.

    Args:
        folder: holds ``fairseq`` and ``fairseq_cli``.

    Yields:
        Module (its path relative to the folder), line, and source text of the call.
    """
    for package in ("fairseq", "fairseq_cli"):
        for file in sorted((folder / package).rglob("*.py")):
            module = file.relative_to(folder).as_posix()
            source = file.read_text(encoding="utf-8")
            if _ANY.search(source):
                yield from _Finder(module, source).calls()


def version(folder: Path) -> str:
    """Read the version of the fairseq in a folder: 0.12.2 or 0.12.3, say."""
    text = (folder / "fairseq" / "version.py").read_text(encoding="utf-8")
    return re.search(r'"([^"]+)"', text).group(1)


class _Finder(ast.NodeVisitor):
    def __init__(self, module: str, source: str) -> None:
        self._module = module
        self._source = source
        self._lines = source.encode().splitlines(keepends=True)
        self._found: list[tuple[str, int, str]] = []

    def calls(self) -> list[tuple[str, int, str]]:
        self.visit(ast.parse(self._source))
        return self._found

    def visit_Call(self, node: ast.Call) -> None:
        if self._is_watched(node.func):
            self._add(node)
            if isinstance(node.func, ast.Attribute):
                self.visit(node.func.value)
            for part in (*node.args, *node.keywords):
                self.visit(part)
        else:
            self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> None:
        if self._is_watched(node, call=False):
            self._add(node)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if self._is_watched(node, call=False):
            self._add(node)
        self.generic_visit(node)

    def _is_watched(self, function: ast.expr, call: bool = True) -> bool:
        dotted = _dotted(function)
        name = dotted.rpartition(".")[2]
        if name in _EVALUATORS:
            return dotted in (name, f"builtins.{name}")
        if name in _EVALUATORS_OF_FAIRSEQ:
            return True
        if _EXAMPLES.match(self._module):
            return False
        if name in _RUNNING or dotted in _RUNNING_DOTTED:
            return True
        if dotted.startswith(_RUNNING_MODULES):
            return call
        opens = name in _OPENING or dotted in _OPENING_DOTTED
        return call and opens and bool(_BUILDING.match(self._module))

    def _add(self, node: ast.expr) -> None:
        lines = self._lines[node.lineno - 1 : node.end_lineno]
        lines[-1] = lines[-1][: node.end_col_offset]
        lines[0] = lines[0][node.col_offset :]
        text = b"".join(lines).decode()
        self._found.append((self._module, node.lineno, " ".join(text.split())))


def _dotted(node: ast.expr) -> str:
    """A name with what it is an attribute of; of a call's value, say, it is just the attribute."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    return ""


if __name__ == "__main__":
    for found_in, _, call in sorted(set(find_calls(Path(sys.argv[1])))):
        print(found_in, call, sep="\t")
