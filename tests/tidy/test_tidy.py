"""House rules of the source code that no linter has.

Goal: a rule that is written down is kept, and whoever breaks it is told where and what instead.
Method: every rule is a function from one parsed file to complaints, "path:line: sentence". All
files of ``src/gigawatt`` go through all rules in one pass, those of ``tests`` and ``bench`` through
that of length; each rule also gets a snippet that breaks it and one that keeps it, because a check
that cannot complain proves nothing.
"""

import ast
import re
import sys
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "gigawatt"

CORE = {
    "fleet", "intent", "identity", "placement", "boundary", "planner", "artefacts", "economics",
    "market",
    "units.py", "ids.py", "errors.py", "money.py",
}  # fmt: skip
"""Rooms without I/O, time or chance (ADR-0001)."""
PACKAGE_DATA_READERS = {"fleet/catalogue.py", "economics/models/tables.py"}
"""The only core files that may read, and only package data through importlib.resources."""

FUNCTION_LINES_MAX = 60
FILE_LINES_MAX = 600

BANNED_CALLS_IN_CORE = {"open", "print", "input", "eval", "exec", "breakpoint"}
BANNED_METHODS_IN_CORE = {"read_text", "read_bytes", "write_text", "write_bytes", "mkdir", "unlink"}

QUALIFY = {
    "port": "switch_port, tcp_port",
    "domain": "nvlink_domain, failure_domain",
    "partition": "ib_partition, slurm_partition",
    "token": "auth_token, lock_token, llm_token",
    "model": "fleet_model, language_model",
    "core": "core_switch, cpu_core",
    "instance": "guest, node",
    "session": "database_session, sandbox_session",
    "pool": "key_pool, storage_pool",
    "batch": "steps, chunk",
    "lease": "worker_lease, lease_until_s",
    "meter": "usage",
    "resource": "node, key, what it is",
    "machine": "node, host",
    "box": "node, rack",
    "customer": "tenant",
    "image": "host_image, container_image",
}
"""Overloaded words and what to say instead; a word that GLOSSARY.md defines alone is free."""

QUANTITIES = {
    "power", "energy", "price", "cost", "bandwidth", "latency", "duration", "capacity",
    "timeout", "delay", "interval", "age", "deadline", "voltage", "temperature", "quota",
    "throughput", "elapsed", "uptime", "backoff", "cooldown",
}  # fmt: skip
UNITS = {
    "s", "ms", "us", "ns", "minutes", "hours", "days", "w", "kw", "mw", "gw", "wh", "kwh", "mwh",
    "v", "a", "usd", "micro", "bytes", "bits", "kib", "mib", "gib", "tib", "pib", "gbyte", "tbyte",
    "gbit", "hz", "c", "celsius", "m", "count", "gpu", "gpus", "ratio", "percent", "index", "mask",
    "hour",
}  # fmt: skip
QUALIFIERS = re.compile(r"(_(max|min|mean|median|total|first|last|p\d+))+$")
"""What may stand after the unit, and so after the quantity where the unit is missing."""
NUMBERS = re.compile(r"\b(int|float|[FIU](16|32|64)|NDArray)\b")

LEFTOVERS = re.compile(
    r"\b(TODO|FIXME|XXX|HACK|NotImplementedError)\b|\bplaceholder\b|\bfor now\b|\bstub\b", re.I
)
MACHINE_PATHS = re.compile(r"(?<![\w.])/(work|farm|root|home/\w+)/")
KEPT_DECORATORS = {
    "property", "cached_property", "staticmethod", "classmethod", "abstractmethod",
    "contextmanager", "asynccontextmanager", "cache", "lru_cache", "wraps", "final",
}  # fmt: skip
"""Decorators that give the function no caller; others (commands, listeners, override) do."""

IMPORTED_AS = {
    "pyyaml": "yaml",
    "fpdf2": "fpdf",
    "python-json-logger": "pythonjsonlogger",
    "opentelemetry-sdk": "opentelemetry",
}
"""Distributions whose module has another name."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class File:
    """One parsed file; path is relative to ``src/gigawatt``."""

    path: str
    text: str
    tree: ast.Module

    @classmethod
    def of(cls, path: str, text: str) -> "File":
        return cls(path, text, ast.parse(text))

    @property
    def is_core(self) -> bool:
        return self.path.split("/")[0] in CORE


def glossary_words(text: str) -> list[str]:
    """First column of the table of GLOSSARY.md, in order."""
    return re.findall(r"^\| \*\*(.+?)\*\* \|", text, re.M)


def functions(tree: ast.AST) -> Iterator[Function]:
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def body_lines(function: Function) -> int:
    """Lines from ``def`` to the end, docstring not counted."""
    first = function.body[0]
    has_doc = ast.get_docstring(function, clean=False) is not None
    doc = (first.end_lineno or 0) - first.lineno + 1 if has_doc else 0
    return (function.end_lineno or 0) - function.lineno + 1 - doc


def length(path: str, text: str) -> Iterator[str]:
    lines = text.count("\n")
    if lines > FILE_LINES_MAX:
        yield f"{path}: {lines} lines, at most {FILE_LINES_MAX}: split it by noun"


def sizes(file: File) -> Iterator[str]:
    yield from length(file.path, file.text)
    for function in functions(file.tree):
        count = body_lines(function)
        if count > FUNCTION_LINES_MAX:
            yield (
                f"{file.path}:{function.lineno}: {function.name} has {count} lines, "
                f"at most {FUNCTION_LINES_MAX}"
            )


def public_definitions(tree: ast.Module) -> Iterator[Function | ast.ClassDef]:
    """Public functions and classes of the module, and public methods of public classes."""
    for node in tree.body:
        if isinstance(node, Function | ast.ClassDef) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from (
                    inner
                    for inner in node.body
                    if isinstance(inner, Function | ast.ClassDef) and not inner.name.startswith("_")
                )


def docstrings(file: File) -> Iterator[str]:
    if not ast.get_docstring(file.tree):
        yield f"{file.path}: no module docstring"
    for node in public_definitions(file.tree):
        overrides = any(ast.unparse(d) == "override" for d in node.decorator_list)
        if not ast.get_docstring(node) and not overrides:
            yield f"{file.path}:{node.lineno}: {node.name} has no docstring"


def purity(file: File) -> Iterator[str]:
    if not file.is_core:
        return
    for node in ast.walk(file.tree):
        if isinstance(node, ast.AsyncFunctionDef | ast.AsyncFor | ast.AsyncWith | ast.Await):
            yield f"{file.path}:{node.lineno}: async in the core; the shell waits, the core decides"
        elif isinstance(node, ast.Call):
            called = node.func
            if isinstance(called, ast.Name) and called.id in BANNED_CALLS_IN_CORE:
                yield f"{file.path}:{node.lineno}: {called.id}() in the core; take text or bytes"
            elif (
                isinstance(called, ast.Attribute)
                and called.attr in BANNED_METHODS_IN_CORE
                and file.path not in PACKAGE_DATA_READERS
            ):
                yield f"{file.path}:{node.lineno}: .{called.attr}() in the core; take text or bytes"


def annotated_names(tree: ast.Module) -> Iterator[tuple[int, str, str]]:
    """(line, name, annotation) of every annotated field, variable and parameter."""
    for node in ast.walk(tree):
        if isinstance(node, ast.AnnAssign):
            name = getattr(node.target, "id", getattr(node.target, "attr", ""))
            yield node.lineno, name, ast.unparse(node.annotation)
        elif isinstance(node, ast.arg) and node.annotation:
            yield node.lineno, node.arg, ast.unparse(node.annotation)


def units(file: File) -> Iterator[str]:
    for line, name, annotation in annotated_names(file.tree):
        words = QUALIFIERS.sub("", name.lower()).split("_")
        if words[-1] in QUANTITIES and not UNITS & set(words) and NUMBERS.search(annotation):
            yield f"{file.path}:{line}: {name} has no unit; end it in _s, _w, _bytes, ..."


def public_names(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Public identifiers: definitions, module constants, fields, parameters of public functions."""
    scopes: list[list[ast.stmt]] = [tree.body]
    for node in public_definitions(tree):
        yield node.lineno, node.name
        if isinstance(node, ast.ClassDef):
            # A member of an enumeration is qualified by its class: Tier.CORE.
            if not any(ast.unparse(base).endswith("Enum") for base in node.bases):
                scopes.append(node.body)
        else:
            arguments = node.args
            for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
                yield argument.lineno, argument.arg
    for statement in (statement for scope in scopes for statement in scope):
        targets = statement.targets if isinstance(statement, ast.Assign) else []
        if isinstance(statement, ast.AnnAssign):
            targets = [statement.target]
        for target in targets:
            if isinstance(target, ast.Name) and not target.id.startswith("_"):
                yield statement.lineno, target.id


def words(file: File, free: frozenset[str]) -> Iterator[str]:
    for line, name in public_names(file.tree):
        singular = name.lower().removesuffix("s")
        for word in {name.lower(), singular, singular.removesuffix("e")}:
            if word in QUALIFY and word not in free:
                yield f"{file.path}:{line}: {name} says too little; say {QUALIFY[word]}"


def leftovers(file: File) -> Iterator[str]:
    for number, line in enumerate(file.text.splitlines(), 1):
        if found := LEFTOVERS.search(line):
            yield f"{file.path}:{number}: {found[0]!r} is unfinished work; finish it or drop it"
        if found := MACHINE_PATHS.search(line):
            yield f"{file.path}:{number}: {found[0]!r} is a path of one computer"


def registers(function: Function) -> bool:
    """Whether a decorator says that somebody else calls the function."""
    names = {
        re.split(r"[.(]", ast.unparse(d).removeprefix("functools.").removeprefix("contextlib."))[0]
        for d in function.decorator_list
    }
    return bool(names - KEPT_DECORATORS)


def uncalled(file: File, mentions: Counter[str]) -> Iterator[str]:
    """Functions whose name stands nowhere else; ``mentions`` counts every word of all code."""
    for function in functions(file.tree):
        name = function.name
        is_dunder = name.startswith("__") and name.endswith("__")
        if not is_dunder and not registers(function) and mentions[name] < 2:
            yield f"{file.path}:{function.lineno}: nobody calls {name}; drop it"


def word_counts(texts: Iterator[str]) -> Counter[str]:
    return Counter(word for text in texts for word in re.findall(r"\w+", text))


def undeclared(file: File, declared: frozenset[str]) -> Iterator[str]:
    """Imports that pyproject.toml does not ask for, though a tool may happen to bring them."""
    for node in ast.walk(file.tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
        for name in (name.split(".")[0] for name in names):
            if name not in sys.stdlib_module_names and name not in declared:
                yield f"{file.path}:{node.lineno}: {name} is no dependency in pyproject.toml"


def declared_imports() -> frozenset[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = {re.split(r"[<>=!~ \[;]", line)[0].lower() for line in project["dependencies"]}
    return frozenset(IMPORTED_AS.get(name, name.replace("-", "_")) for name in asked) | {"gigawatt"}


def complaints(file: File, free: frozenset[str]) -> list[str]:
    """Everything that is wrong with one file by itself."""
    return [
        *sizes(file),
        *docstrings(file),
        *purity(file),
        *units(file),
        *words(file, free),
        *leftovers(file),
    ]


def all_files() -> list[File]:
    return [
        File.of(path.relative_to(SOURCE).as_posix(), path.read_text(encoding="utf-8"))
        for path in sorted(SOURCE.rglob("*.py"))
    ]


def test_source_keeps_every_house_rule():
    free = frozenset(glossary_words((ROOT / "GLOSSARY.md").read_text(encoding="utf-8")))
    found = [line for file in all_files() for line in complaints(file, free)]
    assert not found, "\n" + "\n".join(found)


def test_tests_and_benches_are_no_longer_than_source():
    there = [path for folder in ("tests", "bench") for path in (ROOT / folder).rglob("*.py")]
    ours = sorted(path for path in there if "node_modules" not in path.parts)
    assert ours
    found = [line for path in ours for line in length(str(path), path.read_text(encoding="utf-8"))]
    assert not found, "\n" + "\n".join(found)


def test_every_import_is_a_declared_dependency():
    declared = declared_imports()
    found = [line for file in all_files() for line in undeclared(file, declared)]
    assert not found, "\n" + "\n".join(found)


def test_undeclared_import_is_caught():
    declared = frozenset({"gigawatt", "numpy"})
    assert list(undeclared(File.of("a.py", "import click.core"), declared))
    assert list(undeclared(File.of("a.py", "def f():\n  from click import x"), declared))
    good = "import os.path, numpy as np\nfrom gigawatt.a import b"
    assert not list(undeclared(File.of("a.py", good), declared))


def test_every_function_has_a_caller():
    folders = (SOURCE, ROOT / "tests", ROOT / "bench")
    code = (path for folder in folders for path in folder.rglob("*.py"))
    mentions = word_counts(path.read_text(encoding="utf-8") for path in code)
    found = [line for file in all_files() for line in uncalled(file, mentions)]
    assert not found, "\n" + "\n".join(found)


def test_core_is_the_rooms_that_import_linter_calls_pure():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    pure = re.search(r'name = "the core is pure".*?source_modules = (\[.*?\])', text, re.S)
    assert pure is not None
    rooms = {name.removeprefix("gigawatt.") for name in ast.literal_eval(pure[1])}
    assert {name.removesuffix(".py") for name in CORE} == rooms


LONG = "def f():\n" + "    x = 1\n" * FUNCTION_LINES_MAX
SHORT = 'def f():\n    """Doc.\n\n    More.\n    """\n' + "    x = 1\n" * (FUNCTION_LINES_MAX - 1)
DOC = '"""Doc."""\n'


@pytest.mark.parametrize(
    ("rule", "path", "bad", "good"),
    [
        (sizes, "app/a.py", LONG, SHORT),
        (sizes, "app/a.py", "\n" * (FILE_LINES_MAX + 1), "\n" * FILE_LINES_MAX),
        (docstrings, "app/a.py", "x = 1", DOC + "x = 1"),
        (docstrings, "app/a.py", DOC + "def f(): ...", DOC + "def _f(): ..."),
        (
            docstrings,
            "app/a.py",
            DOC + "class C:\n  'D.'\n  def m(self): ...",
            DOC + "class _C: ...",
        ),
        (purity, "fleet/a.py", "async def f(): ...", "def f(): ..."),
        (purity, "money.py", "print(1)", "str(1)"),
        (purity, "planner/a.py", "open('x')", "x.open"),
        (purity, "planner/a.py", "path.read_text()", "text.splitlines()"),
        (units, "app/a.py", "rack_power: float", "rack_power_w: float"),
        (units, "app/a.py", "price: int", "price_micro_usd_per_hour: int"),
        (units, "app/a.py", "def f(timeout: float | None): ...", "def f(timeout_s: float): ..."),
        (units, "app/a.py", "capacity: I64", "capacity_bytes: I64"),
        (units, "app/a.py", "power_max: float", "power_w_max: float"),
        (units, "app/a.py", "rack_power: float", "power_parts: int"),
        (units, "app/a.py", "self.latency: float = 1", "latency: str"),
        (leftovers, "app/a.py", "# TO" + "DO later", "# why it is so"),
        (leftovers, "app/a.py", "raise NotImplemented" + "Error", "raise InputError"),
        (leftovers, "app/a.py", "x = '/" + "home/someone/x'", "x = '/home'"),
    ],
)
def test_rule_complains_about_bad_and_not_about_good(
    rule: Callable[[File], Iterator[str]], path: str, bad: str, good: str
):
    assert list(rule(File.of(path, bad)))
    assert not list(rule(File.of(path, good)))


def test_a_long_test_file_is_caught():
    (found,) = length("tests/app/test_a.py", "\n" * (FILE_LINES_MAX + 1))
    assert found.startswith("tests/app/test_a.py: 601 lines, at most 600")
    assert not list(length("tests/app/test_a.py", "\n" * FILE_LINES_MAX))


def test_shell_may_do_what_core_may_not():
    assert not list(purity(File.of("app/a.py", "async def f(): print(open('x'))")))
    assert not list(purity(File.of("fleet/catalogue.py", "files('x').read_text()")))


@pytest.mark.parametrize(
    "bad",
    [
        "port = 1",
        "ports: int",
        "def domain(): ...",
        "def f(token): ...",
        "class Model: ...",
        "class C:\n  batches: int",
        "class C:\n  def m(self, *, pool): ...",
    ],
)
def test_bare_overloaded_word_is_caught(bad: str):
    assert list(words(File.of("app/a.py", bad), frozenset()))


@pytest.mark.parametrize(
    "good",
    [
        "switch_port = 1",
        "_port = 1",
        "def _f(token): ...",
        "def f():\n  port = 1",
        "class Tier(StrEnum):\n  CORE = 1",
    ],
)
def test_qualified_or_private_word_is_not(good: str):
    assert not list(words(File.of("app/a.py", good), frozenset()))


def test_word_that_the_glossary_defines_is_free():
    free = frozenset(glossary_words("| **image** | what a host boots | | ours |\n"))
    assert not list(words(File.of("app/a.py", "image: str"), free))


@pytest.mark.parametrize(
    ("text", "is_caught"),
    [
        ("def lonely(): ...", True),
        ("def used(): ...\nused()", False),
        ("def listed(): ...\n__all__ = ['listed']", False),
        ("@app.command()\ndef command(): ...", False),
        ("@override\ndef called_by_base(self): ...", False),
        ("@property\ndef value(self): ...", True),
        ("@functools.cache\ndef cached(): ...", True),
        ("def __len__(self): ...", False),
    ],
)
def test_function_without_a_caller_is_caught(text: str, is_caught: bool):
    found = list(uncalled(File.of("app/a.py", text), word_counts(iter([text]))))
    assert bool(found) == is_caught
