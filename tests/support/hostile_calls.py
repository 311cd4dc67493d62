"""Calls that touch a canary once an ordinary unpickler makes them: (name, opcodes)."""

from __future__ import annotations

import io
import marshal
import zlib
from collections.abc import Iterator
from typing import Any

import torch
from hostile_files import MODULE, Trap
from hostile_opcodes import (
    Opcodes,
    array,
    build,
    call,
    dumps,
    integer,
    mapping,
    name,
    new,
    plain,
    raw,
    sequence,
    text,
)

GETATTR = name("builtins", "getattr")
NONE, TRUE = b"N", b"\x88"


def system(trap: Trap) -> bytes:
    """The plainest of them."""
    return call(name("os", "system"), text(trap.touch))


def method(instance: bytes, attribute: str, *arguments: bytes) -> bytes:
    return call(call(GETATTR, instance, text(attribute)), *arguments)


def partial(function: bytes, *arguments: bytes, **keywords: bytes) -> bytes:
    """``functools.partial``, whose state BUILD sets; called."""
    made = call(name("functools", "partial"), function)
    state = sequence(function, sequence(*arguments), mapping(**keywords), NONE)
    return call(build(made, state))


def calls(trap: Trap) -> Iterator[tuple[str, bytes]]:
    """Every way to run something that we could think of, from shells to torch's own helpers."""
    yield from _processes(trap)
    yield from _evaluators(trap)
    yield from _indirect(trap)
    yield from _files(trap)
    yield from _libraries(trap)
    yield from _torch(trap)


def _processes(trap: Trap) -> Iterator[tuple[str, bytes]]:
    command, words = text(trap.touch), array(text("touch"), text(trap.canary))
    yield "os.system", system(trap)
    yield "posix.system", call(name("posix", "system"), command)
    yield "nt.system", call(name("nt", "system"), command)
    yield "os.popen", call(name("os", "popen"), command)
    yield "os.spawnlp", call(name("os", "spawnlp"), integer(0), text("touch"), *_words(trap))
    yield "os.execlp", call(name("os", "execlp"), text("touch"), *_words(trap))
    yield "subprocess.Popen", call(name("subprocess", "Popen"), words)
    yield "subprocess.getoutput", call(name("subprocess", "getoutput"), command)
    yield "subprocess.check_call", call(name("subprocess", "check_call"), words)
    yield "commands.getoutput", call(name("commands", "getoutput"), command)
    yield "pty.spawn", call(name("pty", "spawn"), words)
    browser = call(name("webbrowser", "GenericBrowser"), array(text("touch"), text("%s")))
    yield "webbrowser", method(browser, "open", text(trap.canary))
    library = call(name("ctypes", "CDLL"), NONE)
    yield "ctypes.CDLL", method(library, "system", raw(trap.touch.encode()))
    yield "pydoc.pipepager", call(name("pydoc", "pipepager"), text("x"), command)


def _words(trap: Trap) -> tuple[bytes, bytes]:
    return text("touch"), text(trap.canary)


def _evaluators(trap: Trap) -> Iterator[tuple[str, bytes]]:
    expression, script = text(trap.expression), text(f"import os; os.system({trap.touch!r})")
    for module in ("builtins", "__builtin__"):
        for evaluator in ("eval", "exec"):
            yield f"{module}.{evaluator}", call(name(module, evaluator), expression)
    compiled = call(name("builtins", "compile"), script, text("x"), text("exec"))
    yield "builtins.compile", call(name("builtins", "exec"), compiled)
    code = compile(f"import os; os.system({trap.touch!r})", "x", "exec")
    loaded = call(name("marshal", "loads"), raw(marshal.dumps(code)))
    yield "types.FunctionType", call(call(name("types", "FunctionType"), loaded, mapping()))
    yield "types.CodeType", call(name("types", "CodeType"), *[integer(0)] * 5, raw(b"d\0S\0"))
    yield "timeit.timeit", call(name("timeit", "timeit"), script)
    yield "cProfile.run", call(name("cProfile", "run"), script)
    yield "pdb.run", call(name("pdb", "run"), script)
    yield (
        "code.InteractiveInterpreter",
        method(call(name("code", "InteractiveInterpreter")), "runsource", script),
    )
    yield "runpy.run_path", call(name("runpy", "run_path"), text(trap.path("script.py")))
    yield "runpy._run_code", call(name("runpy", "_run_code"), script, mapping())


def _indirect(trap: Trap) -> Iterator[tuple[str, bytes]]:
    command = text(trap.touch)
    os_module = call(name("importlib", "import_module"), text("os"))
    yield "importlib.import_module", method(os_module, "system", command)
    imported = call(name("builtins", "__import__"), text("os"))
    yield "builtins.__import__", method(imported, "system", command)
    yield "an import alone", name(MODULE, "nothing")
    yield "an imported name", call(name("importlib", "import_module"), text(MODULE))
    yield "builtins.getattr", method(name("posixpath", "os"), "system", command)
    getter = call(name("operator", "attrgetter"), text("system"))
    yield "operator.attrgetter", call(call(getter, imported), command)
    caller = call(name("operator", "methodcaller"), text("system"), command)
    yield "operator.methodcaller", call(caller, imported)
    yield "functools.partial", partial(name("os", "system"), command)
    yield "functools.partial nested", partial(name("functools", "partial"), system(trap))
    found = call(name("functools", "reduce"), GETATTR, array(text("system")), imported)
    yield "functools.reduce", call(found, command)
    mapped = call(name("builtins", "map"), name("os", "system"), array(command))
    yield "builtins.map", call(name("builtins", "list"), mapped)
    yield "a dotted name", call(name("os.path", "os.system"), command)
    yield "a dunder path", call(name("builtins", "print.__self__.eval"), text(trap.expression))
    yield "pickle.loads", call(name("pickle", "loads"), raw(_pickled(trap)))
    yield "_pickle.loads", call(name("_pickle", "loads"), raw(_pickled(trap)))
    made = call(name("copyreg", "__newobj__"), name("subprocess", "Popen"))
    yield "copyreg.__newobj__", call(name("copyreg", "_reconstructor"), made, system(trap), NONE)
    later = call(name("atexit", "register"), name("os", "system"), command)
    yield "atexit.register", later
    yield (
        "weakref.finalize",
        call(name("weakref", "finalize"), name("os", "system"), name("os", "system"), command),
    )
    timer = call(name("threading", "Timer"), integer(0), name("os", "system"), array(command))
    yield "threading.Timer", method(timer, "start")


def _pickled(trap: Trap) -> bytes:
    return dumps(Opcodes(system(trap)))


def _files(trap: Trap) -> Iterator[tuple[str, bytes]]:
    canary = text(trap.canary)
    for module in ("builtins", "io", "codecs"):
        yield f"{module}.open", call(name(module, "open"), canary, text("w"))
    yield "os.open", call(name("os", "open"), canary, integer(0o101))
    yield "os.mkdir", call(name("os", "mkdir"), canary)
    yield "os.mkfifo", call(name("os", "mkfifo"), canary)
    yield "shutil.copyfile", call(name("shutil", "copyfile"), text(trap.path("script.py")), canary)
    yield "pathlib.Path", method(call(name("pathlib", "Path"), canary), "touch")
    yield "logging.FileHandler", call(name("logging", "FileHandler"), canary)
    yield "sqlite3.connect", call(name("sqlite3", "connect"), canary)
    yield "zipfile.ZipFile", call(name("zipfile", "ZipFile"), canary, text("w"))
    yield "reading a pipe", method(call(name("io", "FileIO"), text(trap.fifo)), "read")


def _libraries(trap: Trap) -> Iterator[tuple[str, bytes]]:
    formatter: dict[str, Any] = {"()": "os.system", "command": trap.touch}
    logging = plain({"version": 1, "formatters": {"x": formatter}})
    yield "logging.config.dictConfig", call(name("logging.config", "dictConfig"), logging)
    yield "numpy.load", call(name("numpy", "load"), text(trap.path("array.npy")), NONE, TRUE)
    made = _numpy_array(name("numpy.core.multiarray", "_reconstruct"), system(trap))
    yield "a numpy array of objects", made
    run = name("numpy.testing._private.utils", "runstring")
    yield "numpy runstring", call(run, text(trap.expression), mapping())
    yield (
        "yaml.unsafe_load",
        call(
            name("yaml", "unsafe_load"), text(f"!!python/object/apply:os.system [{trap.touch!r}]")
        ),
    )
    target = plain({"_target_": "os.system", "command": trap.touch})
    yield "hydra.utils.instantiate", call(name("hydra.utils", "instantiate"), target)
    yield "hydra.utils.call", call(name("hydra.utils", "call"), target)
    yield "fairseq.utils.eval_bool", call(name("fairseq.utils", "eval_bool"), text(trap.expression))
    common = build(
        new(name("argparse", "Namespace")), mapping(user_dir=text(trap.path("user_dir")))
    )
    yield (
        "fairseq.utils.import_user_module",
        call(name("fairseq.utils", "import_user_module"), common),
    )
    packed = zlib.compress(b"x" * 1000)
    yield "a codec", call(name("_codecs", "decode"), raw(packed), text("zlib_codec"))
    yield "a codec's search", call(name("codecs", "register"), name("os", "system"))


def _numpy_array(reconstruct: bytes, item: bytes) -> bytes:
    array_type = name("numpy", "ndarray")
    made = call(reconstruct, array_type, sequence(integer(0)), raw(b"b"))
    dtype = call(name("numpy", "dtype"), text("O8"), integer(0), integer(1))
    state = sequence(integer(1), sequence(integer(1)), dtype, b"\x89", array(item))
    return build(made, state)


def _torch(trap: Trap) -> Iterator[tuple[str, bytes]]:
    stream = io.BytesIO()
    torch.save({"x": _Touching(trap)}, stream)
    yield (
        "torch.storage._load_from_bytes",
        call(name("torch.storage", "_load_from_bytes"), raw(stream.getvalue())),
    )
    yield (
        "torch.load",
        partial(
            name("torch", "load"),
            call(name("io", "BytesIO"), raw(stream.getvalue())),
            weights_only=b"\x89",
        ),
    )
    yield (
        "torch.hub.load",
        partial(
            name("torch.hub", "load"), text(str(trap.folder)), text("entry"), source=text("local")
        ),
    )
    yield (
        "torch.hub.import_module",
        call(name("torch.hub", "_import_module"), text("x"), text(trap.path("script.py"))),
    )
    yield (
        "torch.utils.collect_env.run",
        call(name("torch.utils.collect_env", "run"), text(trap.touch)),
    )
    yield (
        "torch.jit execWrapper",
        call(
            name("torch.jit.unsupported_tensor_ops", "execWrapper"),
            text(trap.expression),
            mapping(),
            mapping(),
        ),
    )
    yield (
        "torch.fx _exec_with_source",
        call(name("torch.fx.graph_module", "_exec_with_source"), text(trap.expression), mapping()),
    )
    rebuilt = name("torch._tensor", "_rebuild_from_type_v2")
    yield (
        "torch _rebuild_from_type_v2",
        call(
            rebuilt,
            name("os", "system"),
            name("torch", "Tensor"),
            sequence(text(trap.touch)),
            mapping(),
        ),
    )
    yield (
        "torch.ops.load_library",
        method(name("torch", "ops"), "load_library", text(trap.path("script.py"))),
    )


class _Touching:
    def __init__(self, trap: Trap) -> None:
        self.command = trap.touch

    def __reduce__(self) -> tuple:
        import os

        return os.system, (self.command,)
