"""The pictures of the console in the documents.

Goal: every picture that a reader sees is one that ``make tour`` draws, of today's pages, and small
enough to fetch. Method: compare the documents, the folder and the list of the command; draw none.
"""

import re
from pathlib import Path

import pytest
from PIL import Image

from console_tour import PICTURES

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "tour"
BYTES_MAX, BYTES_MAX_IN_ALL = 150_000, 1_000_000
"""Limits of one and of all. Ours: a README shall open at once."""

SHOWN_IN = {"README.md": r"\((docs/tour/[^)]+)\)", "docs/console.md": r"\((tour/[^)]+)\)"}


def shown(name: str) -> list[Path]:
    """Pictures that a document shows, in its order."""
    path = ROOT / name
    return [path.parent / found for found in re.findall(SHOWN_IN[name], path.read_text("utf-8"))]


def drawn() -> list[Path]:
    """Pictures that the command draws, in its order."""
    return [FOLDER / f"{picture.name}.png" for picture in PICTURES]


@pytest.mark.parametrize("name", SHOWN_IN)
def test_a_document_shows_what_the_command_draws(name: str):
    assert set(shown(name)) <= set(drawn())


def test_every_picture_is_there_and_explained():
    assert shown("docs/console.md") == drawn()
    assert sorted(FOLDER.iterdir()) == sorted(drawn())


def test_every_picture_says_what_it_shows_to_who_cannot_see_it():
    for name in SHOWN_IN:
        text = (ROOT / name).read_text("utf-8")
        for words in re.findall(r"!\[([^\]]*)\]\((?:docs/)?tour/", text):
            assert len(words) > 20, name


def test_pictures_are_small():
    sizes = [path.stat().st_size for path in drawn()]
    assert max(sizes) < BYTES_MAX
    assert sum(sizes) < BYTES_MAX_IN_ALL


@pytest.mark.parametrize("picture", PICTURES, ids=lambda one: one.name)
def test_a_picture_has_the_size_of_its_windows(picture):
    width, height = picture.window
    with Image.open(FOLDER / f"{picture.name}.png") as image:
        assert image.height == height
        assert width * len(picture.pages) <= image.width <= (width + 24) * len(picture.pages)
