"""The economics over HTTP.

Goal: the service computes what the command line and Python compute, of the same inputs; refuses
what they refuse, by the field's name; keeps nothing; and cannot be held by any caller.
Method: one real server. Each operation is asked over HTTP, through the SDK and on the command line,
and the documents are compared as wholes. Slow work is a function that waits for ever, in a real
process that is then killed.
"""

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
import yaml
from typer.testing import CliRunner

from gigawatt.app import economics_answers as answers
from gigawatt.app.economics_desk import EconomicsDesk
from gigawatt.cli.economics import app as economics_app
from gigawatt.cli.index import app as index_app
from gigawatt.cli.underwrite import app as underwrite_app
from gigawatt.errors import InputError, RateError
from gigawatt.fleet.demo import hgx_fleet
from gigawatt.sdk import documents as doc
from gigawatt.sdk.client import Client

ROOT = Path(__file__).parents[2]
DEAL = (ROOT / "examples" / "deals" / "take-or-pay.yaml").read_text(encoding="utf-8")
HEADER = (
    "day,provider,gpu,form_factor,memory_gbyte,term,region,sku,gpu_count,price,basis,currency,kind,"
    "quantity_gpu_hours,source,retrieved\n"
)
SALES = (
    ("2026-01-10", "reserved_1y", "2.40", 40), ("2026-01-10", "on_demand", "3.00", 60),
    ("2026-02-10", "reserved_1y", "2.50", 80), ("2026-02-10", "on_demand", "3.10", 20),
)  # fmt: skip
PRICES = HEADER + "".join(
    f"{day},own,H100,SXM,80,{term},,,,{price},gpu,USD,metered,{hours},ledger,{day}\n"
    for day, term, price, hours in SALES
)
PANEL = "date,provider,gpu_model,rental_type,price_median_usd\n" + "".join(
    f"2026-{month:02}-05,seller{seller},H100 SXM,on_demand,{2 + (0.1 - 0.03 * month) * seller}\n"
    for month in range(1, 7)
    for seller in range(1, 6)
)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, new_world_of: Any) -> Iterator[Any]:
    """A world whose worker does not run: nothing here is carried out."""
    with new_world_of(tmp_path_factory.mktemp("home"), with_worker=False) as world:
        yield world


def told(app: Any, *words: str) -> Any:
    """The JSON of a command."""
    result = CliRunner().invoke(app, [*words, "-o", "json"])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_chain_is_the_commands_and_pythons(served: Any):
    body = {"fleet": "mixed", "site_id": "site-a", "cost_usd_per_gpu_hour": 1.5,
            "serving": {"llm": "llama-3.1-8b", "input_llm_tokens": 500}}  # fmt: skip
    over_http = doc.Chain.model_validate(
        served.ok("acme.billing", "POST", "/economics/chain", body)
    )
    commanded = told(
        economics_app, "chain", "--fleet", "mixed", "--site", "site-a", "--cost", "1.5",
        "--llm", "llama-3.1-8b", "--prompt", "500",
    )  # fmt: skip
    in_python = answers.chain_answer(doc.ChainRequest.model_validate(body))
    assert doc.Chain.model_validate(commanded) == over_http
    assert doc.Chain.model_validate(in_python) == over_http
    assert {part.node_type for part in over_http.types} == {"hgx-h100", "hgx-a100"}


def test_training_is_the_commands(served: Any):
    body = {"fleet": "small", "training": {"llm": "llama-3.1-70b"}, "supply": {"plant": "solar"}}
    over_http = served.ok("acme.member", "POST", "/economics/chain", body)
    commanded = told(
        economics_app, "chain", "--fleet", "small", "--training", "llama-3.1-70b",
        "--plant", "solar",
    )  # fmt: skip
    assert doc.Chain.model_validate(commanded) == doc.Chain.model_validate(over_http)


def test_the_services_own_fleet_is_the_operators(served: Any):
    found = served.ok("operator", "POST", "/economics/fleet-chain", {})
    wanted = answers.fleet_chain_answer(hgx_fleet(512), doc.FleetChainRequest())
    assert doc.Chain.model_validate(found) == doc.Chain.model_validate(wanted)
    assert served.call("acme.owner", "POST", "/economics/fleet-chain", {}).status_code == 403


def test_gpu_hour_is_the_commands(served: Any, tmp_path: Path):
    inputs = {"life_years": 5, "energy_usd_per_kwh": 0.08}
    file = tmp_path / "in.yaml"
    file.write_text(yaml.safe_dump(inputs), encoding="utf-8")
    body = {"inputs": inputs, "price_usd_per_gpu_hour": 2.2}
    found = served.ok("acme.read_only", "POST", "/economics/gpu-hour", body)
    commanded = told(economics_app, "gpu-hour", "--inputs", str(file), "--price", "2.2")
    assert found == commanded
    full = found["over_utilisation"][-1]
    assert full["accounting_usd"] == pytest.approx(full["accounting_dollar_share"] * 2.2)


def test_life_is_the_commands(served: Any, tmp_path: Path):
    panel = tmp_path / "rental_csv"
    panel.write_text(PANEL, encoding="utf-8")
    body = {"rental_csv": PANEL, "gpu": "H100", "horizon_years": 6}
    found = served.ok("acme.owner", "POST", "/economics/life", body)
    commanded = told(
        economics_app, "life", "--rental", str(panel), "--gpu", "H100", "--horizon", "6"
    )
    assert doc.Life.model_validate(commanded) == doc.Life.model_validate(found)
    assert found["rent_fit"]["provider_count"] == 5


def test_index_is_the_commands(served: Any, tmp_path: Path):
    file = tmp_path / answers.PRICES_NAME
    file.write_text(PRICES, encoding="utf-8")
    body = {"prices_csv": PRICES, "judgements": {"open_gates": True}}
    found = served.ok("acme.billing", "POST", "/economics/index", body)
    assert found == told(index_app, "report", str(file), "--open-gates")
    month = found["upper"][0]["months"][-1]
    assert {name: round(month[name], 6) for name in ("laspeyres", "fisher", "mix_effect")} == {
        "laspeyres": 1.036232, "fisher": 1.037956, "mix_effect": 0.914562,
    }  # fmt: skip


def test_underwriting_is_the_commands_from_text_or_document(served: Any):
    path = "/economics/underwriting"
    more = {"case_count": 300, "seed": 7}
    found = served.ok("acme.owner", "POST", path, {"deal_yaml": DEAL, **more})
    file = ROOT / "examples" / "deals" / "take-or-pay.yaml"
    commanded = told(underwrite_app, str(file), "--cases", "300", "--seed", "7")
    assert doc.Underwriting.model_validate(commanded) == doc.Underwriting.model_validate(found)
    as_document = {"deal": yaml.safe_load(DEAL), **more}
    assert served.ok("acme.owner", "POST", path, as_document) == found
    assert found["risk"]["case_count"] == 300
    assert found["periods"][-1]["debt_micro_usd"] == 0


def test_the_sdk_asks_for_all_of_it(served: Any):
    with Client(served.url, served.keys["operator"]) as client:
        chain = client.compute_chain(doc.ChainRequest(fleet="small"))
        own = client.compute_fleet_chain(doc.FleetChainRequest(site_id="site-a"))
        cost = client.compute_gpu_hour(doc.GpuHourRequest(inputs={"life_years": 4}))
        life = client.compute_life(doc.LifeRequest(rent_slope_per_year=-0.3))
        prices = client.compute_index(doc.IndexRequest(prices_csv=PANEL))
        deal = client.compute_underwriting(doc.UnderwriteRequest(deal_yaml=DEAL, case_count=0))
    assert chain.types[0].gpu_count == own.types[0].gpu_count == 512
    assert cost.inputs["life_years"] == 4
    assert life.economic_life_years is not None
    assert prices.quotes == 30
    assert deal.risk is None


@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        ("chain", {"supply": {"pue": 0.8}}, "pue"),
        ("chain", {"supply": {"load_share": 64}}, "load_share"),
        ("chain", {"serving": {"llm": "eliza"}}, "eliza"),
        ("chain", {"serving": {"input_llm_tokens": -1}}, "input_llm_tokens"),
        ("chain", {"serving": {}, "training": {"llm": "llama-3.1-8b"}}, "serving and training"),
        ("chain", {"fleet": "small", "site_id": "nowhere"}, "nowhere"),
        ("chain", {"cost_usd_per_gpu_hour": 0}, "cost_usd_per_gpu_hour"),
        ("gpu-hour", {"inputs": {"life_years": -3}}, "life_years"),
        ("gpu-hour", {"inputs": {"utilisation_share": 1.2}}, "utilisation_share"),
        ("gpu-hour", {"inputs": {"life": 5}}, "life_years"),
        ("gpu-hour", {"inputs": {"energy_currency": "EUR"}}, "energy_currency"),
        ("gpu-hour", {"inputs": {"life_years": True}}, "life_years"),
        ("life", {"rent_usd_per_gpu_hour": -1}, "rent_usd_per_gpu_hour"),
        ("life", {"rental_csv": PANEL}, "gpu"),
        ("life", {"horizon_years": 0}, "horizon_years"),
        ("index", {"prices_csv": HEADER}, "no offer"),
        ("index", {"prices_csv": PRICES.replace("USD", "EUR")}, "EUR"),
        ("index", {"prices_csv": PRICES.replace(",2.40,", ",two,")}, "price"),
        ("index", {"prices_csv": PRICES, "judgements": {"outlier_factor": 0.5}}, "outlier"),
        ("underwriting", {}, "deal_yaml"),
        ("underwriting", {"deal_yaml": DEAL, "case_count": 10_001}, "case_count"),
        ("underwriting", {"deal_yaml": DEAL.replace("USD/GPU-h", "EUR/GPU-h", 1)}, "currencies"),
        (
            "underwriting",
            {"deal_yaml": DEAL.replace("horizon: {value: 60", "horizon: {value: -4")},
            "horizon",
        ),
        ("underwriting", {"deal": yaml.safe_load(DEAL) | {"horizon": -4}}, "horizon"),
    ],
)
def test_bad_input_is_refused_with_its_field(
    served: Any, path: str, body: dict[str, Any], said: str
):
    answer = served.call("operator", "POST", f"/economics/{path}", body)
    assert answer.status_code in {400, 404}, answer.text
    assert said in answer.json()["detail"] + answer.json()["next_step"]


def test_nothing_is_kept_but_the_audit(served: Any):
    ids, directory = served.ids["acme"], served.service.directory
    served.ok("acme.owner", "POST", "/economics/life", {})
    newest = directory.audit(ids["organisation"], 1 << 62, 1)[0].sequence
    headers = {"Idempotency-Key": "again"}
    for price in (2.5, 2.0):
        # The same key with another body is no conflict, because there is nothing to replay.
        body = {"price_usd_per_gpu_hour": price}
        found = served.ok("acme.owner", "POST", "/economics/gpu-hour", body, headers=headers)
        assert found["price_usd_per_gpu_hour"] == price
    lines = [
        line for line in directory.audit(ids["organisation"], 1 << 62, 5) if line.sequence > newest
    ]
    assert [line.operation for line in lines] == ["compute_gpu_hour"] * 2


def ask(desk: EconomicsDesk, work: Any, *values: object) -> Any:
    async def main() -> Any:
        return await desk.compute("a", work, *values)

    return anyio.run(main)


def test_work_that_does_not_end_is_stopped():
    with pytest.raises(InputError, match=r"stopped after 0\.3 s"):
        ask(EconomicsDesk(deadline_s=0.3), time.sleep, 3600.0)
    assert ask(EconomicsDesk(deadline_s=20.0), len, "abc") == 3


def test_work_that_fills_the_memory_is_stopped():
    with pytest.raises(InputError, match="memory"):
        ask(EconomicsDesk(), bytearray, 1 << 36)


def test_an_error_of_ours_comes_back_as_itself():
    with pytest.raises(InputError, match="life_years"):
        ask(EconomicsDesk(), answers.gpu_hour_answer, doc.GpuHourRequest(inputs={"life_years": -1}))


@pytest.mark.parametrize(
    ("callers", "whose"), [(["a", "a", "a"], "your"), (["a", "b", "c"], "all")]
)
def test_who_comes_too_many_is_told_when_to_come_again(callers: list[str], whose: str):
    desk = EconomicsDesk(worker_count=1, place_count=2, place_count_per_caller=2, deadline_s=60.0)
    refused: list[RateError] = []

    async def main() -> None:
        async with anyio.create_task_group() as group:
            for caller in callers[:2]:
                group.start_soon(desk.compute, caller, time.sleep, 3600.0)
            await anyio.wait_all_tasks_blocked()
            assert desk._held.total() == 2
            try:
                await desk.compute(callers[2], len, "abc")
            except RateError as error:
                refused.append(error)
            group.cancel_scope.cancel()
        assert not desk._held
        assert await desk.compute(callers[2], len, "abc") == 3

    anyio.run(main)
    assert whose in str(refused[0])
    assert refused[0].retry_after_s > 0


def test_a_full_desk_answers_429_over_http(served: Any):
    desk = served.service.desk
    desk._held["somebody"] = desk.place_count
    try:
        answer = served.call("acme.owner", "POST", "/economics/gpu-hour", {})
    finally:
        del desk._held["somebody"]
    assert answer.status_code == 429
    assert int(answer.headers["Retry-After"]) >= 1


LONG_DEAL = DEAL.replace("horizon: {value: 60", "horizon: {value: 600")


def test_who_hangs_up_gives_the_place_back(served: Any):
    """The computation would take much longer than is waited for here."""
    desk = served.service.desk
    url = f"{served.url}/gw/v1/economics/underwriting"
    headers = {"Authorization": f"Bearer {served.keys['acme.owner']}"}
    body = {"deal_yaml": LONG_DEAL, "case_count": 10_000}
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(url, json=body, headers=headers, timeout=httpx.Timeout(10.0, read=0.5))
    until = time.monotonic() + 5.0
    while desk._held and time.monotonic() < until:
        threading.Event().wait(0.02)
    assert not desk._held
    # The process that was killed is replaced.
    assert served.ok("acme.owner", "POST", "/economics/gpu-hour", {})["costs"]
