"""The rules of the isolation proof: one table, one small function each, each with its attack."""

from gigawatt.boundary.rules.case import Rule
from gigawatt.boundary.rules.fabric import FABRIC_RULES
from gigawatt.boundary.rules.host import HOST_RULES
from gigawatt.boundary.rules.in_band import IN_BAND_RULES
from gigawatt.boundary.rules.out_of_band import OUT_OF_BAND_RULES
from gigawatt.boundary.rules.ownership import OWNERSHIP_RULES
from gigawatt.boundary.rules.storage import STORAGE_RULES

RULES: tuple[Rule, ...] = (
    *OWNERSHIP_RULES,
    *FABRIC_RULES,
    *IN_BAND_RULES,
    *OUT_OF_BAND_RULES,
    *STORAGE_RULES,
    *HOST_RULES,
)
"""Every rule, in the order in which violations are listed."""
