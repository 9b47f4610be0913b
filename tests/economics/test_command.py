"""The command ``gw economics`` and its files.

Goal: every command answers in tables, JSON and CSV, draws its pictures, and refuses bad input with
one sentence that names the field.
Method: the real command in this process, on demo fleets and files in a temporary folder.
"""

import csv
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gigawatt.app.economics_report import read_cost_inputs, write_table
from gigawatt.cli.economics import app
from gigawatt.errors import GigawattError, InputError

PNG = b"\x89PNG"


def ask(*words: str) -> str:
    result = CliRunner().invoke(app, list(words))
    if isinstance(result.exception, GigawattError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def test_chain_conserves_energy_in_its_answer(tmp_path: Path):
    picture, saved = tmp_path / "a.png", tmp_path / "a.csv"
    text = ask(
        "chain", "--fleet", "demo", "-o", "json", "--plot", str(picture), "--save", str(saved)
    )
    document = json.loads(text)
    stages = {row["stage"]: row for row in document["stages"]}
    for name, row in stages.items():
        parts = [child["power_w"] for child in stages.values() if child["fed_by"] == name]
        assert not parts or sum(parts) == pytest.approx(row["power_w"])
    assert picture.read_bytes().startswith(PNG)
    rows = list(csv.DictReader(saved.read_text(encoding="utf-8").splitlines()))
    assert float(rows[0]["output_llm_tokens_per_s"]) > 0
    table = ask("chain", "--fleet", "demo", "--plant", "solar")
    assert "tokens a dollar" in table
    assert "plant loss" in table


def test_gpu_hour_gives_both_views_and_pictures(tmp_path: Path):
    names = [str(tmp_path / n) for n in ("c.png", "t.png", "g.png", "c.json")]
    options = ["--plot", "--tornado", "--capex", "--save"]
    pairs = [word for pair in zip(options, names, strict=True) for word in pair]
    document = json.loads(ask("gpu-hour", "-o", "json", *pairs))
    assert [row["view"] for row in document["costs"]] == ["accounting", "economic"]
    assert all(Path(name).read_bytes().startswith(PNG) for name in names[:3])
    assert json.loads(Path(names[3]).read_text(encoding="utf-8")) == document["costs"]
    assert "hours to sell at $2.5" in ask("gpu-hour", "--utilisation", "0.5")


def test_life_fits_a_file(tmp_path: Path):
    prices = tmp_path / "p.csv"
    days = [("2023-01-15", 100), ("2024-01-15", 50), ("2025-01-15", 25)]
    prices.write_text("gpu,date,usd\n" + "".join(f"g,{d},{p}\n" for d, p in days), encoding="utf-8")
    text = ask(
        "life", "--resale-file", str(prices), "--gpu", "g", "--plot", str(tmp_path / "l.png")
    )
    assert "-50.0% a year" in text
    assert (tmp_path / "l.png").read_bytes().startswith(PNG)
    document = json.loads(ask("life", "-o", "json"))
    assert document["economic_life_years"] > 0
    with pytest.raises(InputError, match="--gpu"):
        ask("life", "--resale-file", str(prices))


def test_check_prints_errors_and_misses(tmp_path: Path):
    text = ask("check", "--quick", "--plot", str(tmp_path / "p.png"))
    for word in ("MEDIAN ERROR", "90TH PERCENTILE", "misses: ", "not computed:", "training"):
        assert word in text
    assert (tmp_path / "p.png").read_bytes().startswith(PNG)
    document = json.loads(ask("check", "--quick", "-o", "json"))
    nodes = next(row for row in document["rows"] if row["metric"] == "average nodes")
    assert nodes["computed_value"] == pytest.approx(226.75, rel=0.001)


def test_check_takes_another_table(tmp_path: Path):
    mine = tmp_path / "mine.csv"
    mine.write_text(
        "source,table,system,model,precision,num_accelerators,metric,value,unit,notes\n"
        "me,1,H100,Llama 3 405B,bf16,16384,MFU,41,%,\n",
        encoding="utf-8",
    )
    row = json.loads(ask("check", "--table", str(mine), "-o", "json"))["rows"][0]
    assert row["computed_value"] == pytest.approx(41, rel=0.15)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("chain", "--fleet", "demo", "--pue", "0.8"), "pue"),
        (("chain", "--fleet", "demo", "--load", "64"), "load_share"),
        (("chain", "--fleet", "demo", "--plant", "dynamo"), "dynamo"),
        (("chain", "--fleet", "demo", "--llm", "eliza"), "eliza"),
        (("gpu-hour", "--utilisation", "1.2"), "utilisation_share"),
        (("gpu-hour", "--inputs", "nowhere.yaml"), "nowhere.yaml"),
        (("life", "--rent", "-1"), "rent_usd_per_gpu_hour"),
        (("check", "--table", "nowhere.csv"), "nowhere.csv"),
    ],
)
def test_bad_input_is_refused_with_its_field(words: tuple[str, ...], said: str):
    with pytest.raises(GigawattError, match=said):
        ask(*words)


def test_input_files_are_checked(tmp_path: Path):
    assert read_cost_inputs(None).life_years == 6.0
    file = tmp_path / "in.yaml"
    file.write_text("life_years: 5\nenergy_usd_per_kwh: 0.08\n", encoding="utf-8")
    assert read_cost_inputs(file).life_years == 5.0
    for text, said in (
        ("- 5\n", "mapping"), ("a: [\n", "neither"), ("energy: 0.08\n", "energy_usd_per_kwh"),
    ):  # fmt: skip
        file.write_text(text, encoding="utf-8")
        with pytest.raises(InputError, match=said):
            read_cost_inputs(file)


def test_tables_are_csv_or_json(tmp_path: Path):
    with pytest.raises(InputError, match=r"\.xls"):
        write_table([{"a": 1}], tmp_path / "a.xls")
    with pytest.raises(InputError, match="cannot be written"):
        write_table([{"a": 1}], tmp_path / "none" / "a.csv")


@pytest.mark.parametrize(
    ("option", "field"),
    [
        ("--load", "load_share"), ("--delivery", "delivery_efficiency_share"),
        ("--prompt", "input_llm_tokens"), ("--answer", "output_llm_tokens"),
        ("--speed", "llm_tokens_per_s_min"), ("--cost", "cost_usd_per_gpu_hour"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("value", ["0", "-1", "1e-310", "1e300", "nan"])
def test_what_cannot_be_divided_by_is_refused(option: str, field: str, value: str):
    with pytest.raises(InputError, match=field):
        ask("chain", "--fleet", "small", option, value)
