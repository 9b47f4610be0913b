"""The floor in a browser: the map by wheel, fingers and keys, power, stranded GPUs, the reconciler.

Goal: an operator comes near on the map without losing the place, tells twelve tenants apart, sees
what GPUs report or how to connect them, finds a node by what is at hand and can send the address,
and sees by itself what a pass mended.
Method: Debian's Chromium on a real server over fake devices that are tampered with; pixels of the
canvas are read.
"""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from console_browser import Tab, missing, tab
from console_pages import WIDE
from gigawatt.app.gpu_loads import GpuLoads
from gigawatt.app.home import Home
from gigawatt.app.watch.telemetry import RelayedTelemetry
from gigawatt.app.wiring import open_world
from gigawatt.ids import DeviceId

pytestmark = [
    pytest.mark.skipif(bool(missing()), reason=missing() or "all is there"),
    pytest.mark.timeout(600),
]


@pytest.fixture
def signed_in(plain_world: Any, browser: Any) -> Iterator[Tab]:
    """The operator's page."""
    with tab(browser, plain_world.url, WIDE) as made:
        made.sign_in(plain_world.keys["operator"])
        yield made
        assert made.elsewhere == []
        assert made.faults == []


def launched(world: Any, project_id: str, name: str, gpu_count: int) -> list[str]:
    """Nodes of a new cluster."""
    body = {"project_id": project_id, "name": name, "gpu_count": gpu_count}
    made = world.ok("operator", "POST", "/clusters", body)
    assert world.ended(made["operation_id"])["state"] == "done"
    return sorted(world.ok("operator", "GET", f"/clusters/{made['id']}")["status"]["members"])


def zoom(page: Page) -> float:
    """How near the map is."""
    return float(page.locator("canvas.map-canvas").get_attribute("data-zoom") or "0")


def expect_zoom(page: Page, pattern: str) -> None:
    expect(page.locator("canvas.map-canvas")).to_have_attribute("data-zoom", re.compile(pattern))


def until(page: Page, is_so: Callable[[], bool]) -> None:
    """Look again and again; our own policy forbids the browser's driver to do that by itself."""
    for _ in range(300):
        if is_so():
            return
        page.wait_for_timeout(100)
    raise AssertionError("it did not come so far")


def test_the_wheel_comes_near_where_the_pointer_is_and_lets_the_page_scroll(
    signed_in: Tab, plain_world: Any
):
    page = signed_in.page
    signed_in.open("/fleet")
    canvas = page.locator("canvas.map-canvas")
    expect(page.locator("canvas[data-painted]")).to_be_visible()
    box = canvas.bounding_box()
    assert box is not None
    nodes = plain_world.ok("operator", "GET", "/fleet/cells")["places"]
    rack_box = nodes["rack_box_px"][:4]
    # The plan lies in the middle of its canvas.
    scale = min(box["width"] / nodes["width_px"], box["height"] / nodes["height_px"])
    middle_x, middle_y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    x = middle_x + (rack_box[0] + rack_box[2] / 2 - nodes["width_px"] / 2) * scale
    y = middle_y + (rack_box[1] + rack_box[3] / 8 - nodes["height_px"] / 2) * scale
    page.mouse.move(x, y)
    page.mouse.wheel(0, 120)
    until(page, lambda: page.evaluate("() => scrollY") > 0)
    assert zoom(page) == 1.0, "the page scrolls while nobody uses the map"
    page.evaluate("() => scrollTo(0, 0)")
    until(page, lambda: page.evaluate("() => scrollY") == 0)
    page.mouse.click(x, y)
    said = page.locator(".map [aria-live]")
    expect(said).to_contain_text(nodes["node_ids"][0])
    for _ in range(3):
        page.mouse.wheel(0, -240)
    expect_zoom(page, r"^[2-9]")
    assert page.evaluate("() => scrollY") == 0
    page.mouse.click(x + 2 * rack_box[2] * scale * zoom(page), y)
    expect(said).not_to_contain_text(nodes["node_ids"][0])
    page.mouse.click(x, y)
    expect(said).to_contain_text(nodes["node_ids"][0])
    page.keyboard.press("End")
    expect(said).to_contain_text(nodes["node_ids"][-1])
    page.keyboard.press("Home")
    expect(said).to_contain_text(nodes["node_ids"][0])
    page.keyboard.press("0")
    expect_zoom(page, r"^1\.00$")


def test_two_fingers_pinch_and_one_drags_when_it_is_near(signed_in: Tab):
    page = signed_in.page
    signed_in.open("/fleet")
    expect(page.locator("canvas[data-painted]")).to_be_visible()
    box = page.locator("canvas.map-canvas").bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    def touch(kind: str, *at: tuple[float, float]) -> None:
        points = [{"x": one[0], "y": one[1], "id": number} for number, one in enumerate(at)]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    session = page.context.new_cdp_session(page)
    session.send("Emulation.setTouchEmulationEnabled", {"enabled": True, "maxTouchPoints": 2})
    touch("touchStart", (x - 30, y), (x + 30, y))
    for step in range(1, 7):
        touch("touchMove", (x - 30 - 15 * step, y), (x + 30 + 15 * step, y))
    touch("touchEnd")
    expect_zoom(page, r"^[2-9]")
    before = page.evaluate(PICTURE)
    touch("touchStart", (x, y))
    for step in range(1, 5):
        touch("touchMove", (x - 20 * step, y))
    touch("touchEnd")
    until(page, lambda: page.evaluate(PICTURE) != before)
    said = page.locator(".map [aria-live]")
    expect(said).to_be_empty()


PICTURE = """() => {
  const canvas = document.querySelector("canvas.map-canvas");
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  return new Uint32Array(data.buffer).reduce((sum, pixel, at) => (sum * 31 + pixel) | 0, 7);
}"""

LEGEND = """() => [...document.querySelectorAll(".legend-entry")].map((entry) => {
  const canvas = entry.querySelector("canvas");
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  return [entry.innerText.trim(), new Uint32Array(data.buffer).join()];
})"""


def test_no_two_of_twelve_tenants_look_the_same_and_one_can_be_looked_for(
    plain_world: Any, signed_in: Tab
):
    organisation = plain_world.ids["acme"]["organisation"]
    for number in range(12):
        body = {"name": f"team-{number}"}
        path = f"/organisations/{organisation}/projects"
        project = plain_world.ok("operator", "POST", path, body)["id"]
        grant = {"granted_gpu_count": 32}
        plain_world.ok("operator", "PUT", f"/projects/{project}/quota", grant)
        launched(plain_world, project, f"c{number}", 8)
    page = signed_in.page
    signed_in.open("/fleet?by=tenant")
    page.get_by_role("button", name=re.compile("more$")).click()
    legend = dict(page.evaluate(LEGEND))
    assert len(legend) == 14
    assert len(set(legend.values())) == 14, "no two entries have the same pixels"
    before = page.evaluate(PICTURE)
    entry = page.get_by_role("button", name="team-3", exact=True)
    entry.click()
    expect(entry).to_have_attribute("aria-pressed", "true")
    until(page, lambda: page.evaluate(PICTURE) != before)
    entry.click()
    until(page, lambda: page.evaluate(PICTURE) == before)
    assert signed_in.findings() == []


def test_power_is_shown_against_its_limit_and_what_is_not_known_is_called_so(
    plain_world: Any, signed_in: Tab
):
    launched(plain_world, plain_world.ids["acme"]["project"], "train", 256)
    page = signed_in.page
    signed_in.open("/power")
    feeds = page.get_by_role("table", name="Feeds")
    expect(feeds).to_contain_text("50%")
    expect(feeds).to_contain_text("no data")
    expect(page.get_by_text("GIGAWATT_TELEMETRY")).to_be_visible()
    around, service = plain_world.service.control.around, plain_world.service
    node_id = around.fleet.nodes.ids[0]
    text = f'DCGM_FI_DEV_POWER_USAGE{{gpu="0",Hostname="{node_id}"}} 650\n'
    text += f'DCGM_FI_DEV_GPU_UTIL{{gpu="0",Hostname="{node_id}"}} 99\n'
    service.loads = GpuLoads(around.fleet, around.clock, RelayedTelemetry(lambda: text, "test"))
    service.loads.now()
    service.loads.settle(20.0)
    signed_in.open("/power")
    expect(feeds).to_contain_text("650 W")
    expect(page.get_by_text("1 GPU reported")).to_be_visible()
    expect(page.get_by_text("GIGAWATT_TELEMETRY")).to_have_count(0)
    feeds.get_by_role("link").first.click()
    racks = page.get_by_role("table", name="Racks")
    expect(racks.get_by_role("row")).to_have_count(1 + 16)
    assert page.url.endswith("/power?feed=ib0-feed")
    for by, name in (("load", "75% and more"), ("power", "Below 25%"), ("power-max", "Above")):
        signed_in.open(f"/fleet?by={by}")
        expect(page.locator("canvas[data-painted]")).to_be_visible()
        expect(page.locator(".legend")).to_contain_text(name)
    assert signed_in.findings() == []


def test_stranded_gpus_are_shown_with_the_node_to_empty(plain_world: Any, signed_in: Tab):
    project = plain_world.ids["acme"]["project"]
    [first] = launched(plain_world, project, "one", 1)
    plain_world.ok("operator", "POST", f"/nodes/{first}:quarantine", {"reason": "for now"})
    launched(plain_world, project, "two", 2)
    plain_world.ok("operator", "POST", f"/nodes/{first}:return", {"reason": "it was well"})
    page = signed_in.page
    signed_in.open("/stranded")
    expect(page.locator("main")).to_contain_text("13 lie on nodes of which another part is taken")
    sizes = page.get_by_role("table", name="Sizes").get_by_role("row")
    expect(sizes.last).to_contain_text("not at all")
    emptied = page.get_by_role("table", name="Nodes to empty").get_by_role("row")
    expect(emptied).to_have_count(2)
    expect(emptied.last).to_contain_text(re.compile(r"1 GPU.*one.*7 GPUs"))
    emptied.last.get_by_role("link", name=first).click()
    expect(page.locator("h1")).to_have_text(first)


def test_a_node_is_found_by_text_and_the_address_can_be_sent(plain_world: Any, signed_in: Tab):
    nodes = launched(plain_world, plain_world.ids["acme"]["project"], "train", 16)
    page = signed_in.page
    signed_in.open("/nodes")
    table = page.get_by_role("table", name="Nodes").get_by_role("row")
    expect(table).to_have_count(51)
    page.get_by_label("Search").fill("TRAIN")
    expect(table).to_have_count(3)
    expect(page.get_by_text("2 nodes found.")).to_be_visible()
    expect(page).to_have_url(re.compile(r"/nodes\?text=TRAIN$"))
    page.get_by_label("State").select_option(label="Quarantined")
    expect(page.get_by_text("No node is so")).to_be_visible()
    page.go_back()
    expect(table).to_have_count(3)
    sent = page.url
    signed_in.open("/clusters")
    page.goto(sent)
    expect(page.get_by_label("Search")).to_have_value("TRAIN")
    expect(page.get_by_role("link", name=nodes[0], exact=True)).to_be_visible()
    page.get_by_role("button", name="Clear all").click()
    expect(table).to_have_count(51)
    page.get_by_label("With free GPUs").check()
    expect(page).to_have_url(re.compile(r"free=yes$"))
    page.get_by_label("Tenant").select_option(value=plain_world.ids["acme"]["project"])
    expect(page.get_by_text("No node is so")).to_be_visible()


def test_a_pass_is_begun_and_what_others_begin_appears_by_itself(
    plain_world: Any, signed_in: Tab, tmp_path: Path
):
    [node_id] = launched(plain_world, plain_world.ids["acme"]["project"], "train", 8)
    page = signed_in.page
    signed_in.open("/reconciler")
    expect(page.get_by_text("None yet.")).to_be_visible()
    fleet = plain_world.service.control.around.fleet
    with open_world(Home(tmp_path / "home", None), fleet) as devices:
        for entry in devices.entries(DeviceId(f"port/{node_id}")):
            devices.uproot(entry)
    page.get_by_role("button", name="Reconcile now").click()
    expect(page.get_by_text("Everything is as it shall be")).to_be_visible()
    passes = page.get_by_role("table", name="Passes").get_by_role("row")
    expect(passes).to_have_count(2)
    expect(passes.last).to_contain_text(re.compile("you.*all mended"))
    passes.last.locator("summary").click()
    expect(passes.last).to_contain_text(f"port/{node_id} lacks")
    plain_world.ok("operator", "POST", "/reconciliations")
    expect(passes).to_have_count(3)
    expect(passes.nth(1)).to_contain_text("nothing differed")
    assert signed_in.findings() == []
