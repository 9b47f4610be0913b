"""What a notebook shows for a result of the economics.

Goal: each main result is one well-formed table with its own figures, and no text of the reader's
reaches the page as markup.
Method: results of the pure core, parsed as XML; the same with markup in every text they carry.
"""

from dataclasses import replace
from math import inf
from pathlib import Path
from xml.etree import ElementTree

import pytest

from gigawatt.economics.chain.energy import ItLoad, LoadAssumption, PowerPath, energy_balance
from gigawatt.economics.chain.fleet_chain import ChainRequest, fleet_chain
from gigawatt.economics.chain.ledger import FlopRung
from gigawatt.economics.chain.serving import Traffic
from gigawatt.economics.chain.silicon import Precision
from gigawatt.economics.chain.training_chain import TrainingRequest, fleet_training
from gigawatt.economics.gpu_hour.cost import gpu_hour_cost
from gigawatt.economics.gpu_hour.inputs import CostInputs
from gigawatt.economics.html import html_table
from gigawatt.economics.life.outlook import outlook
from gigawatt.economics.life.plan import LifeInputs
from gigawatt.economics.models.llm import language_model
from gigawatt.economics.validation.constants import CONSTANTS
from gigawatt.fleet.demo import fleet_by_name

EVIL = "<script>alert('1') & \"2\"</script>"
MARKET = LifeInputs(2.5, -0.2, 0.65, 25_000.0, -0.25)


def results() -> dict[str, object]:
    shape, site = language_model("llama-3.1-70b"), fleet_by_name("demo")
    path, load = PowerPath(), LoadAssumption()
    asked = ChainRequest(shape, Precision.FP8, Traffic(1000, 1000), path, load, 2.0)
    served = fleet_chain(site, asked, CONSTANTS.serving).types[0].ledger
    job = TrainingRequest(shape, Precision.BF16, path, load, 2.0)
    trained = fleet_training(site, job, CONSTANTS.training).types[0].ledger
    assert served is not None
    assert trained is not None
    rung = (FlopRung(EVIL, 0.1, 1.0),)
    life = outlook(MARKET, (-0.5, 0.1), (-0.3, -0.2))
    cost, power = gpu_hour_cost(CostInputs()), energy_balance(path, ItLoad(1.0, 1.0, 1.0, 1.0))
    evil_stages = tuple(replace(s, parent=EVIL * (s.parent != "")) for s in power.stages)
    return {
        "cost": cost, "served": served, "trained": trained, "life": life, "power": power,
        "evil cost": replace(cost, view=EVIL),
        "evil served": replace(served, ladder=rung),
        "evil trained": replace(trained, ladder=rung),
        "evil life": replace(life, plan=(replace(life.plan[0], action=EVIL),)),
        "evil power": replace(power, stages=evil_stages),
    }  # fmt: skip


@pytest.mark.parametrize("name", ["cost", "served", "trained", "life", "power"])
def test_a_result_is_one_table_without_foreign_markup(name: str):
    found = results()
    for which in (name, f"evil {name}"):
        html = found[which]._repr_html_()  # type: ignore[attr-defined]
        tree = ElementTree.fromstring(html)  # noqa: S314 - our own text
        assert tree.tag == "table"
        assert {node.tag for node in tree.iter()} <= {
            "table", "caption", "thead", "tbody", "tr", "th", "td",
        }  # fmt: skip
        assert "<script" not in html
        assert (EVIL in "".join(tree.itertext())) == which.startswith("evil")
        assert len(html) < 12_000


def test_tables_carry_their_figures():
    found = results()
    cost = gpu_hour_cost(CostInputs())
    assert f"{cost.total_usd:.4g}" in found["cost"]._repr_html_()  # type: ignore[attr-defined]
    life = found["life"]._repr_html_()  # type: ignore[attr-defined]
    assert "to no end (95 %)" in life
    assert "annuity_usd_low" in life


def test_cells_of_any_kind_are_shown():
    html = html_table("c", ["x"], [[None], [inf], [12345.6], [0.000123], [True], [EVIL]])
    for words in ("<td></td>", "inf", "12,346", "0.000123", "True", "&lt;script&gt;"):
        assert words in html


def test_the_documented_example_runs():
    page = Path(__file__).parents[2] / "docs" / "economics.md"
    _, _, rest = page.read_text(encoding="utf-8").partition("```python runnable\n")
    example, _, _ = rest.partition("```")
    seen: dict[str, object] = {}
    exec(compile(example, str(page), "exec"), seen)  # noqa: S102 - our own page
    assert "J a token" in seen["chain"].types[0].ledger._repr_html_()  # type: ignore[attr-defined]
