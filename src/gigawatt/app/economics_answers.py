"""Answers of the economics to documents: pure functions of values, for a process of their own."""

import json
from typing import Any

import numpy as np

from gigawatt.app.economics_chain import (
    Asked,
    ServingAsked,
    SupplyAsked,
    chain_document,
    chain_of,
    training_request,
)
from gigawatt.app.economics_cost import cost_document
from gigawatt.app.economics_life import RentAsked, ResaleAsked, TextFile, life_document, life_of
from gigawatt.app.index_choice import Judgements, choice_of, rate_micro_usd, weight_of
from gigawatt.app.index_report import make_report, report_document
from gigawatt.app.underwriting.document import deal_document
from gigawatt.economics.finance.deal_yaml import load_deal
from gigawatt.economics.finance.monte_carlo import simulate
from gigawatt.economics.finance.tornado import tornado
from gigawatt.economics.finance.underwriting import underwrite
from gigawatt.economics.gpu_hour.inputs import cost_inputs_of
from gigawatt.errors import InputError
from gigawatt.fleet.demo import fleet_by_name
from gigawatt.fleet.model import Fleet
from gigawatt.sdk import documents as doc

PRICES_NAME = "prices_csv"


def fleet_chain_answer(site: Fleet, body: doc.FleetChainRequest) -> dict[str, Any]:
    """The chain of a fleet.

    Raises:
        InputError: serving and training are both asked for, or a name is unknown.
    """
    if body.serving is not None and body.training is not None:
        raise InputError(
            "serving and training are both there, wanted one", next_step="Ask twice for both."
        )
    supply = SupplyAsked(**body.supply.model_dump())
    asked: Asked
    if body.training is not None:
        job = body.training
        asked = training_request(job.llm, job.precision, supply, body.cost_usd_per_gpu_hour)
    else:
        served = body.serving or doc.Serving()
        asked = ServingAsked(**served.model_dump()).request(supply, body.cost_usd_per_gpu_hour)
    return chain_document(chain_of(site, asked, body.site_id))


def chain_answer(body: doc.ChainRequest) -> dict[str, Any]:
    """The chain of a demonstration fleet."""
    return fleet_chain_answer(fleet_by_name(body.fleet), body)


def gpu_hour_answer(body: doc.GpuHourRequest) -> dict[str, Any]:
    """The cost of a GPU-hour."""
    return cost_document(cost_inputs_of(body.inputs), body.price_usd_per_gpu_hour)


def life_answer(body: doc.LifeRequest) -> dict[str, Any]:
    """Economic life."""
    rent = RentAsked(
        usd_per_gpu_hour=body.rent_usd_per_gpu_hour,
        slope_per_year=body.rent_slope_per_year,
        panel=None if body.rental_csv is None else TextFile("rental_csv", body.rental_csv),
        gpu=body.gpu,
    )
    resale = ResaleAsked(
        usd=body.resale_usd,
        slope_per_year=body.resale_slope_per_year,
        file=None if body.resale_csv is None else TextFile("resale_csv", body.resale_csv),
        gpu=body.resale_gpu or body.gpu,
    )
    costs = cost_inputs_of(body.inputs)
    found = life_of(rent, resale, costs, body.cash_usd_per_gpu_hour, body.horizon_years)
    return life_document(found)


def index_answer(body: doc.IndexRequest) -> dict[str, Any]:
    """The report of the rental price index."""
    report = make_report(
        body.prices_csv,
        PRICES_NAME,
        Judgements(**body.judgements.model_dump()).settings(),
        choice_of(body.gpus, body.terms, body.first_day, body.last_day),
        rates_micro_usd={
            name: rate_micro_usd(name, repr(rate)) for name, rate in body.rates_usd.items()
        },
        basket_gpu_hours=dict(
            weight_of(term, repr(hours)) for term, hours in body.basket_gpu_hours.items()
        )
        or None,
    )
    return report_document(report)


def underwrite_answer(body: doc.UnderwriteRequest) -> dict[str, Any]:
    """A deal underwritten.

    Raises:
        InputError: not exactly one of ``deal`` and ``deal_yaml``, or the deal is wrong; its field
            is named.
    """
    if (body.deal is None) == (body.deal_yaml is None):
        raise InputError("wanted either deal or deal_yaml")
    # JSON is YAML, so both forms are read by the same strict reader.
    text = body.deal_yaml if body.deal_yaml is not None else json.dumps(body.deal, indent=1)
    signed = underwrite(load_deal(text, "deal"))
    rng = np.random.default_rng(body.seed)
    simulation = simulate(signed, rng, body.case_count) if body.case_count else None
    return deal_document(signed, simulation, tornado(signed))
