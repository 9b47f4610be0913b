"""A fleet that trains, from the plant to trained tokens.

Goal: power, tokens, joules and dollars hang together; the layout fits its memory and is near what
people published; what cannot be trained is said, and options of serving are refused.
Method: identities over language models and fleets; published runs against the layout found for
their size; the real command on a demo fleet.
"""

import csv
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gigawatt.cli.economics import app
from gigawatt.economics.chain.energy import LoadAssumption, PowerPath
from gigawatt.economics.chain.layout import STATE_SHARE, fastest_run, state_bytes_per_gpu
from gigawatt.economics.chain.silicon import Precision, silicon_of
from gigawatt.economics.chain.training import training_rate
from gigawatt.economics.chain.training_chain import TrainingRequest, fleet_training
from gigawatt.economics.models.llm import language_model
from gigawatt.economics.validation.constants import CONSTANTS
from gigawatt.economics.validation.training_rows import known_runs
from gigawatt.errors import GigawattError, InputError, NoCapacityError
from gigawatt.fleet.catalogue import accelerator
from gigawatt.fleet.demo import fleet_by_name

H100 = silicon_of(accelerator("H100-SXM5-80GB"))
PATH = PowerPath(0.5, 1.0, 1.25)


def ask(*words: str) -> str:
    result = CliRunner().invoke(app, ["chain", "--fleet", "demo", *words])
    if isinstance(result.exception, GigawattError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.parametrize("llm", ["llama-3.1-8b", "llama-3.1-405b", "deepseek-v3", "mixtral-8x7b"])
def test_power_tokens_joules_and_dollars_hang_together(llm: str):
    request = TrainingRequest(language_model(llm), Precision.BF16, PATH, LoadAssumption(), 2.0)
    found = fleet_training(fleet_by_name("demo"), request, CONSTANTS.training)
    for part in found.types:
        ledger = part.ledger
        assert ledger is not None
        rate = ledger.rate.llm_tokens_per_s
        joules = ledger.joules_per_trained_llm_token
        assert joules["source"] * rate == pytest.approx(part.balance.source_w)
        assert joules["GPUs"] < joules["IT"] < joules["facility"] < joules["source"]
        usd_per_s = 2.0 * part.gpu_count / 3600
        per_million = ledger.cost_usd_per_million_trained_llm_tokens
        assert per_million * rate / 1e6 == pytest.approx(usd_per_s)
        assert sum(rung.time_share for rung in ledger.ladder) == pytest.approx(1)
        assert all(rung.time_share >= 0 for rung in ledger.ladder)
        assert ledger.ladder[0].time_share == pytest.approx(ledger.rate.mfu_share)


@pytest.mark.parametrize("count", [64, 1000, 1024, 10_000])
def test_a_layout_fits_its_memory_and_its_gpus(count: int):
    for llm in ("llama-3.1-8b", "llama-3.1-70b", "qwen3-30b-a3b"):
        run = fastest_run(language_model(llm), H100, Precision.BF16, count, CONSTANTS.training)
        assert state_bytes_per_gpu(run) <= STATE_SHARE * H100.memory_bytes
        assert 0.9 * count < run.gpu_count <= count


def test_layouts_found_are_near_published_ones():
    """Published jobs have other steps, so near is a factor of 1.5; full recompute is another."""
    for known in known_runs():
        run = known.run
        if run.recompute == "full":
            continue
        found = fastest_run(
            run.shape, run.silicon, run.precision, run.gpu_count, CONSTANTS.training
        )
        ratio = (
            training_rate(found, CONSTANTS.training).llm_tokens_per_s
            / training_rate(run, CONSTANTS.training).llm_tokens_per_s
        )
        assert 1 / 1.5 < ratio < 1.5, (known.name, ratio)


def test_what_does_not_fit_is_said():
    with pytest.raises(NoCapacityError, match="fit no layout of 8"):
        fastest_run(language_model("llama-3.1-405b"), H100, Precision.BF16, 8, CONSTANTS.training)
    with pytest.raises(InputError, match="gpu_count"):
        fastest_run(language_model("llama-3.1-8b"), H100, Precision.BF16, 0, CONSTANTS.training)


def test_the_command_follows_training(tmp_path: Path):
    picture, saved = tmp_path / "t.png", tmp_path / "t.csv"
    options = ("--training", "llama-3.1-405b", "--plot", str(picture), "--save", str(saved))
    document = json.loads(ask(*options, "-o", "json"))
    served = json.loads(ask("-o", "json"))
    assert document["stages"] == served["stages"]
    (part,) = document["types"]
    assert 0.2 < part["mfu_share"] < 0.6
    assert part["reason"] == ""
    assert picture.read_bytes().startswith(b"\x89PNG")
    (row,) = csv.DictReader(saved.read_text(encoding="utf-8").splitlines())
    assert float(row["trained_llm_tokens_per_s"]) == part["trained_llm_tokens_per_s"]
    text = ask("--training", "llama-3.1-405b")
    for words in ("plant loss", "MFU", "a million trained tokens", "pipeline bubble", "J a token"):
        assert words in text


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--speed", "20"), "--speed"),
        (("--llm", "llama-3.1-8b", "--prompt", "10"), "--llm, --prompt"),
        (("--precision", "fp4"), "fp4"),
        (("--precision", "int3"), "int3"),
        (("--cost", "0"), "cost_usd_per_gpu_hour"),
        (("--plant", "dynamo"), "dynamo"),
    ],
)
def test_wrong_options_are_refused(words: tuple[str, ...], said: str):
    with pytest.raises(GigawattError, match=said):
        ask("--training", "llama-3.1-8b", *words)
