"""House rules of documents, data and the repository.

Goal: what the documents promise exists: test ids, decision records, code paths, words, sources.
Method: each rule is a function from text to complaints, run over the real files and over small
texts that break it.
"""

import ast
import csv
import io
import os
import re
import subprocess
import tomllib
from collections.abc import Callable, Collection, Iterator, Mapping
from itertools import pairwise
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
ADR_FOLDER = ROOT / "docs" / "adr"

ADR_LINES_MAX = 80
ADR_SECTIONS = (
    "Context", "Options", "Determination", "Consequences", "How we would know it was wrong",
    "Code", "Sources",
)  # fmt: skip
ADR_STATUS = re.compile(
    r"^(ideation|discussion|accepted|superseded by ADR-\d{4}|abandoned) · \d{4}-\d{2}-\d{2}$", re.M
)
FILE_BYTES_MAX = 1_000_000
DATA_COLUMNS = {"source", "confidence"}
MACHINE_PATHS = re.compile(r"(?<![\w.])/(work|farm|root|home/\w+)/")
TEXT_SUFFIXES = {".py", ".md", ".toml", ".lock", ".in", ".yaml", ".yml", ".txt", ".csv", ".cff", ""}


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def repository_files() -> list[Path]:
    """Files under version control; every file below the root where there is no git."""
    listed = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z"],
        cwd=ROOT, capture_output=True, check=False,
    )  # fmt: skip
    if listed.returncode == 0:
        names = listed.stdout.decode().split("\0")
        return [ROOT / name for name in names if name and (ROOT / name).is_file()]
    hidden = {".venv", ".git", ".mypy_cache", ".ruff_cache", ".pytest_cache", "__pycache__"}
    found = []
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [name for name in folders if name not in hidden]
        found.extend(Path(folder) / name for name in names)
    return found


# --- glossary ---------------------------------------------------------------------------------


def glossary_complaints(text: str) -> Iterator[str]:
    """Terms once each, in alphabetical order, each with a meaning and a source."""
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines()]
    terms = [row for row in rows if row and row[0].startswith("**")]
    names = [row[0].strip("*") for row in terms]
    if not names:
        yield "no terms"
    for first, second in pairwise(names):
        if first.casefold() >= second.casefold():
            yield f"{second!r} stands after {first!r}; the order is alphabetical, each word once"
    for row in terms:
        if len(row) != 4 or not row[1] or not row[3]:
            yield f"{row[0]} needs four columns, with a meaning and a source"


def test_glossary_is_in_order():
    assert list(glossary_complaints(read(ROOT / "GLOSSARY.md"))) == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "| **b** | x | | y |\n| **a** | x | | y |\n",
        "| **a** | x | | y |\n| **a** | x | | y |\n",
        "| **a** |  | | y |\n",
        "| **a** | x | |  |\n",
        "| **a** | x |\n",
    ],
)
def test_bad_glossary_is_caught(text: str):
    assert list(glossary_complaints(text))


# --- specification ----------------------------------------------------------------------------

PROMISE = re.compile(r"^\| (?P<id>[A-Z]{1,2}\d+) \| (?P<sentence>[^|]+) \| (?P<tests>[^|]+) \|$")


def functions(node: ast.ClassDef) -> set[str]:
    """Names of the functions that a class defines."""
    return {n.name for n in node.body if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)}


def shared_suites() -> dict[str, set[str]]:
    """Functions of the classes in ``tests/support``, from which test classes may be derived."""
    modules = (ast.parse(read(path)) for path in (ROOT / "tests" / "support").glob("*.py"))
    nodes = (node for module in modules for node in module.body)
    classes = {node.name: node for node in nodes if isinstance(node, ast.ClassDef)}

    def all_of(name: str) -> set[str]:
        if name not in classes:
            return set()
        bases = (base.id for base in classes[name].bases if isinstance(base, ast.Name))
        return functions(classes[name]).union(*map(all_of, bases))

    return {name: all_of(name) for name in classes}


def test_names(path: str, text: str, shared: Mapping[str, set[str]]) -> set[str]:
    """Test ids that a test module defines, e.g. ``tests/a/test_b.py::TestC::test_d``.

    ``shared`` has the functions of classes from which its own may be derived.
    """
    names = set()
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            names.add(f"{path}::{node.name}")
        elif isinstance(node, ast.ClassDef):
            inner = functions(node).union(
                *(shared.get(base.id, set()) for base in node.bases if isinstance(base, ast.Name))
            )
            names.update(f"{path}::{node.name}::{name}" for name in inner)
            # A hypothesis state machine is a test through its TestCase attribute.
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            names.add(f"{path}::{node.targets[0].id}")
    return names


test_names.__test__ = False  # type: ignore[attr-defined]


def promise_complaints(text: str, known: Collection[str]) -> Iterator[str]:
    """Rows of the promise table that are malformed or name a test that does not exist."""
    rows = [line for line in text.splitlines() if re.match(r"\| [A-Z]{1,2}\d+ \|", line)]
    if not rows:
        yield "no promises"
    seen: set[str] = set()
    for row in rows:
        match = PROMISE.match(row)
        if match is None:
            yield f"not '| id | promise | `test id`, ... |': {row}"
            continue
        if match["id"] in seen:
            yield f"{match['id']} stands twice"
        seen.add(match["id"])
        tests = re.findall(r"`(tests/[^`]+)`", match["tests"])
        if not tests:
            yield f"{match['id']} names no test"
        yield from (f"{match['id']}: no test {test}" for test in tests if test not in known)


def test_every_promise_names_a_test():
    known: set[str] = set()
    shared = shared_suites()
    for path in (ROOT / "tests").rglob("test_*.py"):
        known |= test_names(path.relative_to(ROOT).as_posix(), read(path), shared)
    assert list(promise_complaints(read(ROOT / "SPECIFICATION.md"), known)) == []


def test_promise_table_is_checked():
    known = test_names("tests/a.py", "def test_b(): ...\nclass C:\n  def test_d(self): ...\n", {})
    assert known == {"tests/a.py::test_b", "tests/a.py::C::test_d"}
    derived = test_names("tests/a.py", "class D(S):\n  x = 1\n", {"S": {"test_e"}})
    assert derived == {"tests/a.py::D::test_e"}
    good = "| A1 | It holds. | `tests/a.py::test_b`, `tests/a.py::C::test_d` |"
    assert not list(promise_complaints(good, known))
    for bad in (
        "",
        "| A1 | It holds. | `tests/a.py::test_gone` |",
        "| A1 | It holds. | by hand |",
        "| A1 | It holds. |",
        good + "\n" + good,
    ):
        assert list(promise_complaints(bad, known)), bad


# --- decision records -------------------------------------------------------------------------


def adr_complaints(name: str, text: str, exists: Callable[[str], bool]) -> Iterator[str]:
    """What is wrong with one decision record; ``exists`` tells whether a path of ours is there."""
    number = name[:4]
    if not re.fullmatch(r"\d{4}(-[a-z0-9]+)+\.md", name):
        yield f"{name}: the name is NNNN-verb-noun.md"
    if not text.startswith(f"# ADR-{number}: "):
        yield f"{name}: the title is '# ADR-{number}: ...'"
    if not ADR_STATUS.search(text):
        yield f"{name}: no line 'accepted · YYYY-MM-DD' (or another status)"
    if text.count("\n") > ADR_LINES_MAX:
        yield f"{name}: more than {ADR_LINES_MAX} lines"
    sections = re.split(r"^## (.+)$", text, flags=re.M)
    if tuple(sections[1::2]) != ADR_SECTIONS:
        yield f"{name}: the sections are {', '.join(ADR_SECTIONS)}"
        return
    if len(re.findall(r"^- ", sections[4], re.M)) < 2:
        yield f"{name}: fewer than two options"
    code = re.findall(r"`([\w./-]+)`", sections[12])
    if not code:
        yield f"{name}: section Code names no path"
    yield from (f"{name}: no file or folder {path}" for path in code if not exists(path))


def dangling_references(name: str, text: str, numbers: Collection[str]) -> Iterator[str]:
    """Mentions of decision records that do not exist."""
    for number in re.findall(r"ADR-(\d{4})", text):
        if number not in numbers:
            yield f"{name}: there is no ADR-{number}"


def adr_files() -> list[Path]:
    return sorted(path for path in ADR_FOLDER.glob("*.md") if path.name != "README.md")


def test_decision_records_are_complete():
    found = [
        complaint
        for path in adr_files()
        for complaint in adr_complaints(path.name, read(path), lambda p: (ROOT / p).exists())
    ]
    assert found == []


def test_numbers_have_no_gap_and_index_lists_all():
    names = [path.name for path in adr_files()]
    assert [int(name[:4]) for name in names] == list(range(1, len(names) + 1))
    listed = re.findall(r"\]\((\d{4}-[^)]+\.md)\)", read(ADR_FOLDER / "README.md"))
    assert listed == names


def test_nothing_points_at_a_missing_decision_record():
    numbers = {path.name[:4] for path in adr_files()}
    found = [
        complaint
        for path in repository_files()
        if path.suffix in {".py", ".md"} and path != Path(__file__)
        for complaint in dangling_references(str(path.relative_to(ROOT)), read(path), numbers)
    ]
    assert found == []


GOOD_ADR = """# ADR-0001: do a thing

accepted · 2026-01-01

## Context
## Options
- a
- b
## Determination
## Consequences
## How we would know it was wrong
## Code
`src/a.py`
## Sources
"""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("ADR-0001", "ADR-0002"),
        ("accepted ·", "agreed ·"),
        ("- b\n", ""),
        ("## Context\n", ""),
        ("`src/a.py`", "somewhere"),
        ("`src/a.py`", "`src/gone.py`"),
        ("## Sources\n", "## Sources\n" + "\n" * ADR_LINES_MAX),
    ],
)
def test_bad_decision_record_is_caught(old: str, new: str):
    def exists(path: str) -> bool:
        return path == "src/a.py"

    assert not list(adr_complaints("0001-do-thing.md", GOOD_ADR, exists))
    assert list(adr_complaints("0001-do-thing.md", GOOD_ADR.replace(old, new), exists))
    assert list(adr_complaints("0001_do.md", GOOD_ADR, exists))


def test_dangling_reference_is_caught():
    assert list(dangling_references("a.py", "# ADR-" + "0002", {"0001"}))
    assert not list(dangling_references("a.py", "# ADR-" + "0001", {"0001"}))


# --- locks ------------------------------------------------------------------------------------


def lock_complaints(wanted: Collection[str], lock: str) -> Iterator[str]:
    """Requirements that a lock does not meet, and pins without a hash."""
    pins = dict(re.findall(r"^([\w.-]+)==(\S+)", lock, re.M))
    for requirement in map(Requirement, wanted):
        name = canonicalize_name(requirement.name)
        if name not in pins:
            yield f"{name} is not in the lock; run 'make lock'"
        elif pins[name] not in requirement.specifier:
            yield f"{name} {pins[name]} is locked, wanted {requirement.specifier}; run 'make lock'"
    for name in re.findall(r"^([\w.-]+)==\S+$", lock, re.M):
        yield f"{name} has no hash"
    yield from (f"{line} names a place" for line in re.findall(r"^--(?!hash).*$", lock, re.M))


def asked_in(name: str) -> list[str]:
    lines = read(ROOT / "requirements" / name).splitlines()
    return [line for line in lines if line and not line.startswith(("#", "-"))]


def test_locks_hold_all_that_is_asked_for():
    project = tomllib.loads(read(ROOT / "pyproject.toml"))["project"]
    run = [*project["dependencies"], *asked_in("build.in")]
    assert list(lock_complaints(run, read(ROOT / "requirements" / "run.lock"))) == []
    dev = [*run, *asked_in("dev.in")]
    assert list(lock_complaints(dev, read(ROOT / "requirements" / "dev.lock"))) == []


def test_stale_or_bare_lock_is_caught():
    lock = "a==1.5 \\\n    --hash=sha256:00\n"
    assert list(lock_complaints(["A>=1,<2"], lock)) == []
    assert list(lock_complaints(["a>=2"], lock))
    assert list(lock_complaints(["b"], lock))
    assert list(lock_complaints(["a"], "a==1.5\n"))
    assert list(lock_complaints(["a"], lock + "--index-url x\n"))


# --- data and repository ----------------------------------------------------------------------


def data_complaints(name: str, text: str) -> Iterator[str]:
    """Rows of shipped data without source or confidence (ADR-0010)."""
    reader = csv.DictReader(io.StringIO(text))
    missing = DATA_COLUMNS - set(reader.fieldnames or ())
    if missing:
        yield f"{name}: no column {', '.join(sorted(missing))}"
        return
    for number, row in enumerate(reader, 2):
        yield from (f"{name}:{number}: {c} is empty" for c in sorted(DATA_COLUMNS) if not row[c])


def test_shipped_data_names_its_source():
    data = (ROOT / "src").rglob("*.csv")
    assert [line for path in data for line in data_complaints(path.name, read(path))] == []


def test_data_without_source_is_caught():
    assert not list(data_complaints("a.csv", "x,source,confidence\n1,RFC 1,high\n"))
    assert list(data_complaints("a.csv", "x,source\n1,RFC 1\n"))
    assert list(data_complaints("a.csv", "x,source,confidence\n1,,high\n"))


def test_no_file_is_large():
    large = [str(path) for path in repository_files() if path.stat().st_size > FILE_BYTES_MAX]
    assert large == []


def test_no_file_names_a_path_of_one_computer():
    found = [
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path in repository_files()
        if path.suffix in TEXT_SUFFIXES
        for match in MACHINE_PATHS.finditer(read(path))
    ]
    assert found == []
