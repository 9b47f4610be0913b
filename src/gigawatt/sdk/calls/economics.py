"""Calls of the economics: each computes and changes nothing."""

from gigawatt.sdk import documents as doc
from gigawatt.sdk.calls.call import Call, path_of


def compute_chain(request: doc.ChainRequest) -> Call[doc.Chain]:
    """Power to tokens on a demonstration fleet."""
    return Call("POST", path_of("economics", "chain"), doc.Chain, body=request)


def compute_fleet_chain(request: doc.FleetChainRequest) -> Call[doc.Chain]:
    """Power to tokens on the fleet that the service runs."""
    return Call("POST", path_of("economics", "fleet-chain"), doc.Chain, body=request)


def compute_gpu_hour(request: doc.GpuHourRequest) -> Call[doc.GpuHour]:
    """The cost of a GPU-hour."""
    return Call("POST", path_of("economics", "gpu-hour"), doc.GpuHour, body=request)


def compute_life(request: doc.LifeRequest) -> Call[doc.Life]:
    """How long a GPU earns more than it costs."""
    return Call("POST", path_of("economics", "life"), doc.Life, body=request)


def compute_index(request: doc.IndexRequest) -> Call[doc.Index]:
    """The rental price index of a price file."""
    return Call("POST", path_of("economics", "index"), doc.Index, body=request)


def compute_underwriting(request: doc.UnderwriteRequest) -> Call[doc.Underwriting]:
    """A deal underwritten."""
    return Call("POST", path_of("economics", "underwriting"), doc.Underwriting, body=request)
