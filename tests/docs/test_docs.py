"""The documents hold.

Goal: a reader who follows a link, copies an example or reads a generated page is not misled.
Method: run every doctest of the package, resolve every link and heading between the documents,
compare generated pages with what makes them, and run the README's blocks marked ``runnable``.
"""

import doctest
import importlib
import pkgutil
import re
import runpy
import shlex
import subprocess
import sys
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest

import gigawatt
from gigawatt.planner.phases import mermaid

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(
    path
    for folder in (ROOT, ROOT / "docs", ROOT / "docs" / "adr", ROOT / "docs" / "lab")
    for path in folder.glob("*.md")
)
MODULES = sorted(
    module.name for module in pkgutil.walk_packages(gigawatt.__path__, prefix="gigawatt.")
)


@pytest.mark.parametrize("name", [name for name in MODULES if not name.endswith("__main__")])
def test_examples_in_docstrings(name: str):
    result = doctest.testmod(importlib.import_module(name))
    assert result.failed == 0


def prose(text: str) -> str:
    """The text without fenced blocks."""
    return re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)


def anchors(text: str) -> set[str]:
    """Anchors of the headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", prose(text), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(document: Path, text: str) -> Iterator[str]:
    """Relative links of a document that lead nowhere."""
    for link in re.findall(r"\[[^\]]*\]\(([^)\s]+)\)", prose(text)):
        if re.match(r"(https?|mailto):", link):
            continue
        name, _, anchor = link.partition("#")
        target = (document.parent / name) if name else document
        if not target.exists():
            yield f"{document.name}: {link} does not exist"
        elif anchor and anchor not in anchors(
            text if target == document else target.read_text(encoding="utf-8")
        ):
            yield f"{document.name}: {link} has no such heading"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_resolve(document: Path):
    assert list(broken_links(document, document.read_text(encoding="utf-8"))) == []


def test_broken_link_is_caught():
    here = ROOT / "README.md"
    text = "# A title, here\n[ok](README.md) [ok](#a-title-here) [ok](https://example.org)\n"
    assert list(broken_links(here, text)) == []
    assert list(broken_links(here, "[no](GONE.md)"))
    assert list(broken_links(here, "# A\n[no](#b)"))


def test_generated_pages_are_fresh():
    generator = runpy.run_path(str(ROOT / "docs" / "generate.py"))
    for name, text in generator["pages"]().items():
        assert (ROOT / "docs" / name).read_text(encoding="utf-8") == text, "run 'make docs'"


def test_phase_page_holds_the_table():
    page = (ROOT / "docs" / "phases.md").read_text(encoding="utf-8")
    assert f"```mermaid\n{mermaid()}```" in page


def runnable_blocks(text: str) -> list[tuple[str, str]]:
    """(language, content) of fenced blocks whose fence says ``runnable`` after the language."""
    return re.findall(r"^```(console|python) runnable\n(.*?)^```", text, re.M | re.S)


def gw_commands(block: str) -> list[list[str]]:
    """Arguments of every ``$ gw ...`` line of a console block, comments dropped."""
    lines = re.findall(r"^\$ (gw .+)$", block.replace("\\\n", " "), re.M)
    return [shlex.split(line, comments=True)[1:] for line in lines]


def run_block(language: str, content: str, folder: Path) -> None:
    """Run one block in an empty folder; every command must end well."""
    commands: Collection[list[str]] = [["-c", content]]
    if language == "console":
        commands = [["-m", "gigawatt.cli", *words] for words in gw_commands(content)]
    place = {"HOME": str(folder), "GIGAWATT_HOME": str(folder / "home")}
    for words in commands:
        done = subprocess.run(
            [sys.executable, *words],
            cwd=folder, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
            env={**place, "PYTHONPATH": str(ROOT / "src"), "PATH": "/usr/bin:/bin"},
        )  # fmt: skip
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"


@pytest.mark.slow
def test_readme_examples_run(tmp_path: Path):
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for language, content in runnable_blocks(text):
        run_block(language, content, tmp_path)


def test_runnable_blocks_are_found_and_run(tmp_path: Path):
    text = "```python runnable\nprint(1)\n```\n```console runnable\n$ gw a 'b c'  # d\nout\n```\n"
    python, console = runnable_blocks(text)
    assert gw_commands(console[1]) == [["a", "b c"]]
    run_block(*python, tmp_path)
    with pytest.raises(AssertionError):
        run_block("python", "raise SystemExit(1)", tmp_path)
