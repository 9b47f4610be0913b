"""The five planes of a boundary, in the order in which they are written down."""

from enum import StrEnum


class Plane(StrEnum):
    """One of the five planes that fence a cluster."""

    FABRIC = "fabric"
    IN_BAND = "in_band"
    OUT_OF_BAND = "out_of_band"
    STORAGE = "storage"
    HOST = "host"


PLANES = tuple(Plane)
