"""Pictures of every page of the console, wide and as on a phone: ``make screenshots``."""

import sys
import tempfile
from pathlib import Path

from console_browser import missing, running_browser, tab
from console_pages import OPERATOR_PAGES, PAGES, PHONE, WIDE
from console_story import Story, told
from console_tour import fix_time


def draw(story: Story, out: Path) -> list[str]:
    """Write every page in both sizes, the phone in dark colours; those wider than their window."""
    too_wide = []
    with running_browser() as browser:
        for size, window, scheme in (("wide", WIDE, "light"), ("phone", PHONE, "dark")):
            for who, pages in (("ada", PAGES), ("olu", OPERATOR_PAGES)):
                with tab(browser, story.url, window, scheme) as made:
                    fix_time(made, story)
                    made.page.goto(story.url)
                    made.page.wait_for_selector("form")
                    made.page.screenshot(path=out / f"{size}-sign-in.png")
                    made.sign_in(story.keys[who])
                    for name, path in pages.items():
                        made.open(path.format(**story.ids))
                        file = out / f"{size}-{name}.png"
                        made.page.screenshot(path=file, full_page=True)
                        sys.stdout.write(f"{file}\n")
                        if made.has_overflow():
                            too_wide.append(file.name)
    return too_wide


def main() -> None:
    """Tell a story about a made-up site, and draw what is there at its end."""
    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    if missing():
        sys.exit(missing())
    with tempfile.TemporaryDirectory() as folder, told(Path(folder)) as story:
        too_wide = draw(story, out)
    if too_wide:
        sys.exit(f"wider than their window: {', '.join(too_wide)}")


if __name__ == "__main__":
    main()
