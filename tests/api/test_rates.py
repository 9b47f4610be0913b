"""The rate card and prices, over HTTP.

Goal: what somebody was told is what they pay, whatever the card says later; nobody learns another
organisation's price; only operators set prices.
Method: a real server on loopback over a real store, its clusters committed and not carried out.
"""

from typing import Any

import pytest

from gigawatt.fleet.demo import mixed_fleet

SITE = "site-a"


@pytest.fixture
def world(tmp_path: Any, new_world_of: Any) -> Any:
    with new_world_of(tmp_path / "home", with_worker=False) as made:
        yield made


def rate(price: int, **more: Any) -> dict[str, Any]:
    return {"gpu_type": "h100", "price_micro_usd_per_gpu_hour": price, **more}


def put(world: Any, *rows: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = world.ok("operator", "POST", "/rates", {"rates": list(rows)})[
        "items"
    ]
    return found


def wish(world: Any, name: str = "train", who: str = "acme", **more: Any) -> dict[str, Any]:
    return {"project_id": world.ids[who]["project"], "name": name, "gpu_count": 16, **more}


def asked(world: Any, who: str = "acme", gpu_count: int = 16, **more: Any) -> dict[str, Any]:
    body = {"project_id": world.ids[who]["project"], "gpu_count": gpu_count, **more}
    found: dict[str, Any] = world.ok(f"{who}.member", "POST", "/prices", body)
    return found


def test_a_plan_keeps_the_price_that_it_showed_after_the_card_has_changed(world):
    put(world, rate(2_000_000))
    plan = world.ok("acme.member", "POST", "/plans", wish(world))
    assert (plan["price_micro_usd_per_gpu_hour"], plan["price_basis"]) == (2_000_000, "card")
    put(world, rate(3_000_000))
    cluster = world.ok("acme.member", "POST", f"/plans/{plan['id']}:apply")
    found = world.ok("acme.member", "GET", f"/clusters/{cluster['id']}")
    assert found["status"]["price_micro_usd_per_hour"] == 16 * 2_000_000
    later = world.ok("acme.member", "POST", "/plans", wish(world, "later"))
    assert later["price_micro_usd_per_gpu_hour"] == 3_000_000


def test_a_negotiated_price_is_for_its_organisation_and_seen_by_nobody_else(world):
    acme = world.ids["acme"]["organisation"]
    put(world, rate(2_500_000), rate(1_234_567, organisation_id=acme))
    assert asked(world)["offer"]["price_micro_usd_per_gpu_hour"] == 1_234_567
    assert asked(world)["offer"]["price_basis"] == "negotiated"
    assert asked(world, "other")["offer"]["price_micro_usd_per_gpu_hour"] == 2_500_000
    for path in ("/rates", f"/rates?organisation_id={acme}", "/rates?with_past=true"):
        text = world.call("other.owner", "GET", path).text
        assert "1234567" not in text
        assert acme not in text
        assert 'set_by":null' in text.replace(" ", "") or '"items":[]' in text
        assert "1234567" in world.call("acme.read_only", "GET", path).text
    shown = world.ok("operator", "GET", "/rates")["items"]
    assert {row["organisation_id"] for row in shown} == {None, acme}
    assert all(row["set_by"] for row in shown)


def test_volume_prices_begin_at_their_size(world):
    put(world, rate(2_500_000), rate(2_000_000, gpu_count_min=64))
    small = world.ok("acme.member", "POST", "/plans", wish(world, gpu_count=56))
    large = world.ok("acme.member", "POST", "/plans", wish(world, gpu_count=64))
    assert small["price_micro_usd_per_hour"] == 56 * 2_500_000
    assert large["price_micro_usd_per_hour"] == 64 * 2_000_000


def test_a_limit_below_the_price_is_refused_with_the_price(world):
    put(world, rate(2_500_000))
    body = wish(world, price_micro_usd_per_gpu_hour_max=2_499_999)
    refused = world.call("acme.member", "POST", "/plans", body)
    assert refused.status_code == 400
    assert "$2.5000" in refused.json()["detail"]
    body["price_micro_usd_per_gpu_hour_max"] = 2_500_000
    assert world.ok("acme.member", "POST", "/plans", body)["price_micro_usd_per_hour"] == 40_000_000


def test_rows_have_a_state_and_the_past_is_shown_on_demand(world):
    first = put(world, rate(2_500_000))[0]
    put(world, rate(2_600_000), rate(9, valid_from="2030-01-01T00:00:00Z"))
    rows = world.ok("acme.member", "GET", "/rates")["items"]
    assert [(row["price_micro_usd_per_gpu_hour"], row["state"]) for row in rows] == [
        (9, "coming"),
        (2_600_000, "in_force"),
    ]
    everything = world.ok("acme.member", "GET", "/rates?with_past=true")["items"]
    assert (everything[-1]["id"], everything[-1]["state"]) == (first["id"], "past")
    one = world.ok("acme.member", "GET", "/rates?with_past=true&limit=1")
    rest = world.ok(
        "acme.member", "GET", f"/rates?with_past=true&limit=5&cursor={one['next_cursor']}"
    )
    assert [row["id"] for row in one["items"] + rest["items"]] == [row["id"] for row in everything]


@pytest.mark.parametrize(
    ("row", "word"),
    [
        (rate(-1), "price_micro_usd_per_gpu_hour"),
        (rate(1, currency="EUR"), "EUR"),
        (rate(1, valid_from="1970-01-01T00:00:00Z"), "day 0"),
        (rate(1, valid_from="2020-01-01T00:00:00Z"), "in force since"),
        (rate(1, valid_from="2020-01-01T00:00:00"), "valid_from"),
        (rate(1, site_id="moon"), "no site 'moon'"),
        (rate(1, month_count_min=3), "months"),
        ({**rate(1), "gpu_type": "h1000"}, "no 'h1000' GPUs"),
    ],
)
def test_a_row_that_is_none_is_refused_by_name_and_none_is_kept(world, row, word):
    refused = world.call("operator", "POST", "/rates", {"rates": [rate(5), row]})
    assert refused.status_code in {400, 422}
    assert word in refused.text
    assert world.ok("operator", "GET", "/rates")["items"] == []


def test_a_rate_of_an_organisation_that_is_not_there_is_refused(world):
    body = {"rates": [rate(5, organisation_id="org_nobody")]}
    assert world.call("operator", "POST", "/rates", body).status_code == 404


def test_who_set_a_price_is_in_the_audit(world):
    put(world, rate(2_500_000))
    mine = world.ok("operator", "GET", "/me")["organisation_id"]
    lines = world.ok("operator", "GET", f"/organisations/{mine}/audit?limit=50")["items"]
    line = next(line for line in lines if line["operation"] == "set_rates")
    assert line["after"]["items"][0]["price_micro_usd_per_gpu_hour"] == 2_500_000


def test_a_price_names_every_way_the_cheapest_first_and_keeps_nothing(world):
    put(
        world,
        rate(2_500_000),
        rate(1_000_000, term="spot"),
        rate(2_000_000, term="reserved", month_count_min=12),
    )
    answer = asked(world, gpu_count=15, spare_count=1)
    offer = answer["offer"]
    assert (offer["gpu_count"], offer["term"], offer["is_free_now"]) == (16, "on_demand", True)
    assert offer["price_micro_usd_per_hour"] == 24 * 2_500_000
    assert any("1 spare node" in sentence for sentence in answer["billed"])
    assert offer["cancellation"]
    others = [(o["term"], o["price_micro_usd_per_gpu_hour"]) for o in answer["alternatives"]]
    assert others == [("spot", 1_000_000), ("reserved", 2_000_000)]
    assert world.ok("operator", "GET", "/operations")["items"] == []


def test_for_a_time_the_least_total_comes_first(world):
    """A year at a low price costs more than three days at a high one."""
    put(world, rate(2_500_000), rate(1, term="reserved", month_count_min=60))
    answer = asked(world, duration_s=259_200)
    assert answer["offer"]["total_micro_usd"] == 16 * 72 * 2_500_000
    year = answer["alternatives"][0]
    assert year["total_micro_usd"] == 16 * 60 * 720
    assert year["is_free_now"] is True


def test_a_later_start_is_that_of_the_calendar(world):
    """Most is reserved for a day of 2031: what is left starts then, the rest when it is cleared."""
    ids = world.ids["acme"]
    block = {
        "project_id": ids["project"],
        "name": "block",
        "gpu_count": 192,
        "gpu_type": "h100",
        "hours": 24,
        "from_at": "2031-01-01T00:00:00Z",
    }
    quota = {"granted_gpu_count": 512}
    world.ok("operator", "PUT", f"/projects/{ids['project']}/quota", quota)
    world.ok("operator", "POST", "/reservations", block)
    world.ok("operator", "POST", "/reservations", {**block, "name": "more"})
    later = {"duration_s": 7_200, "from_at": "2031-01-01T12:00:00Z", "term": "reserved"}
    few, many = (asked(world, gpu_count=count, **later)["offer"] for count in (64, 256))
    assert few["starts_at"] == "2031-01-01T12:00:00Z"
    assert few["is_free_now"] is None
    assert many["starts_at"] == "2031-01-02T00:30:00Z"
    assert many["price_micro_usd_per_gpu_hour"] == 2_500_000


def test_what_is_not_free_says_when_it_may_be(world):
    body = wish(world, gpu_count=256)
    world.ok("acme.member", "POST", "/clusters", body)
    world.ok("other.member", "POST", "/clusters", wish(world, "x", "other", gpu_count=256))
    answer = asked(world, gpu_count=64)
    assert answer["offer"]["is_free_now"] is False
    assert "64 GPUs wanted" in answer["wait"]


def test_what_nobody_sells_is_said(world):
    body = {"project_id": world.ids["acme"]["project"], "gpu_count": 8, "term": "spot"}
    refused = world.call("acme.member", "POST", "/prices", body)
    assert refused.status_code == 400
    assert "nobody sells" in refused.json()["detail"]
    body |= {"term": "on_demand", "month_count": 3}
    assert world.call("acme.member", "POST", "/prices", body).status_code == 400


def test_other_types_and_sites_are_among_the_ways(tmp_path, new_world_of):
    with new_world_of(tmp_path / "home", with_worker=False, fleet=mixed_fleet()) as world:
        answer = asked(world, gpu_count=8)
        types = {answer["offer"]["gpu_type"], *(o["gpu_type"] for o in answer["alternatives"])}
        assert types == {kind.gpu_type for kind in world.service.control.around.fleet.node_types}
        prices = [o["price_micro_usd_per_gpu_hour"] for o in answer["alternatives"]]
        assert prices == sorted(prices)
