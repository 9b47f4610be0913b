"""Pictures of every page of the console, wide and as on a phone: ``make screenshots``."""

import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from console_browser import missing, running_browser, tab
from console_pages import OPERATOR_PAGES, PAGES, PHONE, WIDE
from gigawatt.app.clock import SystemClock
from gigawatt.app.home import Home
from gigawatt.app.server import APPLICATION, load_application
from gigawatt.app.service import make_first_key
from gigawatt.app.serving import Serving, serving
from gigawatt.sdk import Client
from gigawatt.sdk import documents as doc
from gigawatt.units import TIB

PUBLIC_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGxhcHRvcGxhcHRvcGxhcHRvcGxhcHRvcGxhcHRv ada"


def populate(client: Client) -> dict[str, str]:
    """One cluster with a key and a file system; ids of what pages show."""
    project_id = client.list_projects().items[0].id
    key = client.create_ssh_key(project_id, "ada", PUBLIC_KEY)
    client.create_file_system(
        doc.FileSystemRequest(project_id=project_id, name="data-sets", quota_bytes=20 * TIB)
    )
    wish = doc.ClusterRequest(
        project_id=project_id,
        name="train",
        gpu_count=2_048,
        spare_count=2,
        ssh_key_ids=[key.id],
    )
    cluster = client.create_cluster(wish)
    assert cluster.operation_id is not None
    while client.get_operation(cluster.operation_id).finished_at is None:
        time.sleep(0.1)
    free = client.list_nodes(doc.NodeFilter(only_free=True, limit=4)).items
    client.drain_node(free[0].id, "a fan is loud")
    client.quarantine_node(free[1].id, "XID 79: fell off the bus")
    reserve(client, project_id)
    return {"cluster": cluster.id, "operation": cluster.operation_id, "node": free[1].id}


def reserve(client: Client, project_id: str) -> None:
    """Two reservations, one of them later."""
    now = datetime.fromtimestamp(SystemClock().now_s(), UTC)
    for name, days, months in (("next-model", 2, 1), ("evaluation", 20, 2)):
        wish = doc.ReservationRequest(
            project_id=project_id,
            name=name,
            gpu_count=512,
            gpu_type=client.get_fleet().gpu_types[0].gpu_type,
            from_at=now + timedelta(days=days),
            months=months,
        )
        client.create_reservation(wish)


def draw(served: Serving, key: str, ids: dict[str, str], out: Path) -> None:
    """Write every page in both sizes, the phone in dark colours."""
    with running_browser() as browser:
        for size, window, scheme in (("wide", WIDE, "light"), ("phone", PHONE, "dark")):
            with tab(browser, served.url, window, scheme) as made:
                made.page.goto(served.url)
                made.page.wait_for_selector("form")
                made.page.screenshot(path=out / f"{size}-sign-in.png")
                made.sign_in(key)
                for name, path in (PAGES | OPERATOR_PAGES).items():
                    made.open(path.format(**ids))
                    made.page.screenshot(path=out / f"{size}-{name}.png", full_page=True)
                    sys.stdout.write(f"{out / f'{size}-{name}.png'}\n")


def main() -> None:
    """Serve a made-up fleet, use it a little, and draw."""
    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    if missing():
        sys.exit(missing())
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder) / "home", database_url=None)
        home.make()
        with serving(home, load_application(APPLICATION)) as served:
            key = make_first_key(served.service, "operator")
            with Client(served.url, key) as client:
                ids = populate(client)
            draw(served, key, ids, out)


if __name__ == "__main__":
    main()
