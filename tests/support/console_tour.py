"""The pictures of the tour in the README and in docs/console.md: ``make tour``.

Each is the window of somebody in the story, at its end; the same story makes the same pictures,
on a computer with the same Chromium and fonts. Few colours keep the files small.
"""

import io
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from playwright.sync_api import Page

from console_browser import Tab, missing, running_browser, tab
from console_pages import PHONE
from console_story import Story, begin_closing, told

WINDOW = {"width": 1280, "height": 860}
GAP_PX = 24
COLOUR_COUNT = 256


def _nothing(_page: Page) -> None:
    """The page as it opens."""


def _choose(page: Page) -> None:
    """512 GPUs with Ada's key."""
    page.get_by_label("Name").fill("finetune")
    page.get_by_label("GPUs", exact=True).fill("512")
    page.keyboard.press("Tab")
    page.get_by_label("ada").check()
    page.get_by_role("button", name="Launch 512 GPUs").wait_for()


def _choose_and_look(page: Page) -> None:
    """The same, with what will be done to the planes."""
    _choose(page)
    page.get_by_text("What is done on the five planes").click()


def _choose_and_turn(page: Page) -> None:
    """The same, turned to the plan, which stands below the form on a phone."""
    _choose(page)
    page.locator(".plan-card").evaluate(
        "card => scrollTo(0, card.getBoundingClientRect().top + scrollY - 64)"
    )


def _choose_bad_node(page: Page) -> None:
    """The node that is not healthy."""
    page.locator(".cell.ill").click()


def _by_tenant(page: Page) -> None:
    """Colours of the map by who holds what."""
    page.get_by_label("Colour by").select_option(label="Tenant")
    page.locator("canvas[data-painted]").wait_for()


def _plan_month(page: Page) -> None:
    """What this month would bill as of now."""
    page.get_by_label("Month", exact=True).fill("2026-11")
    page.get_by_role("button", name="Plan it").click()
    page.get_by_role("table", name="Invoices of 2026-11").wait_for()


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture: whose pages it shows, side by side, and what is done on each before.

    Fields: file name without its end; person of the story; path of each page with what is done
    there; light or dark; size of each window.
    """

    name: str
    who: str
    pages: tuple[tuple[str, Callable[[Page], None]], ...]
    scheme: str = "light"
    window: tuple[int, int] = (WINDOW["width"], WINDOW["height"])


PICTURES = (
    Picture("launch", "ada", (("/launch", _choose_and_look),)),
    Picture("closing", "ada", (("/operations/{closing}", _nothing),)),
    Picture("cluster", "ada", (("/clusters/{cluster}?tab=topology", _choose_bad_node),)),
    Picture("isolation", "ada", (("/clusters/{cluster}?tab=isolation", _nothing),)),
    Picture("fleet", "olu", (("/fleet", _by_tenant),)),
    Picture("utilisation", "olu", (("/utilisation", _nothing),)),
    Picture("month", "olu", (("/months", _plan_month),)),
    Picture(
        "phone",
        "ada",
        (
            ("/launch", _choose_and_turn),
            ("/operations/{closing}", _nothing),
            ("/clusters/{cluster}", _nothing),
        ),
        "dark",
        (PHONE["width"], PHONE["height"]),
    ),
)


def fix_time(made: Tab, story: Story) -> None:
    """Show the browser the time of the story."""
    made.page.clock.set_fixed_time(datetime.fromtimestamp(story.clock.at_s, UTC))


def draw(story: Story, browser: Any, picture: Picture) -> Image.Image:
    """A picture, its windows side by side."""
    width, height = picture.window
    size = {"width": width, "height": height}
    ground = (14, 20, 27) if picture.scheme == "dark" else (245, 246, 248)
    count = len(picture.pages)
    drawn = Image.new("RGB", (width * count + GAP_PX * (count - 1), height), ground)
    with tab(browser, story.url, size, picture.scheme) as made:
        fix_time(made, story)
        made.sign_in(story.keys[picture.who])
        for number, (path, prepare) in enumerate(picture.pages):
            made.open(path.format(**story.ids))
            prepare(made.page)
            made.settle()
            made.page.mouse.move(0, 0)
            shot = Image.open(io.BytesIO(made.page.screenshot(animations="disabled")))
            drawn.paste(shot.convert("RGB"), (number * (width + GAP_PX), 0))
    return drawn


def packed(drawn: Image.Image) -> bytes:
    """A picture as a small PNG: common colours stay as they are, edges of letters come near."""
    pixels = np.asarray(drawn, np.int32).reshape(-1, 3)
    colours, which, counts = np.unique(pixels, axis=0, return_inverse=True, return_counts=True)
    kept = colours[np.argsort(-counts, kind="stable")[:COLOUR_COUNT]]
    nearest = [int(((kept - colour) ** 2).sum(axis=1).argmin()) for colour in colours]
    rows = np.array(nearest, np.uint8)[which.ravel()].reshape(drawn.height, drawn.width)
    few = Image.fromarray(rows, "P")
    few.putpalette(kept.astype(np.uint8).tobytes())
    file = io.BytesIO()
    few.save(file, "PNG", optimize=True)
    return file.getvalue()


def main() -> None:
    """Tell the story and draw its pictures."""
    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    if missing():
        sys.exit(missing())
    with tempfile.TemporaryDirectory() as folder, told(Path(folder)) as story:
        story.ids["closing"] = begin_closing(story)
        with running_browser() as browser:
            for picture in PICTURES:
                path = out / f"{picture.name}.png"
                path.write_bytes(packed(draw(story, browser, picture)))
                sys.stdout.write(f"{path}  {path.stat().st_size:,} bytes\n")


if __name__ == "__main__":
    main()
