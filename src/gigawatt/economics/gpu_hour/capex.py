"""Capital for each GW as named presets that say what the GW is of."""

from dataclasses import dataclass
from functools import cache

from gigawatt.economics.models.tables import shipped_rows
from gigawatt.economics.quantities import check_positive, check_range
from gigawatt.errors import UnknownIdError


@dataclass(frozen=True, slots=True)
class CapexPart:
    """One part of a preset.

    Fields:
        part: what is bought.
        cost_usd_per_w_low, cost_usd_per_w_high: USD for each W, which is billion USD for each GW.
        source, confidence: where from.
    """

    part: str
    cost_usd_per_w_low: float
    cost_usd_per_w_high: float
    source: str
    confidence: str


@dataclass(frozen=True, slots=True)
class CapexPreset:
    """A published stack of capital.

    Fields:
        name: says of what the GW is.
        per_gw_of: "facility power", "IT power" or "unstated".
        parts: bottom of the stack first.
    """

    name: str
    per_gw_of: str
    parts: tuple[CapexPart, ...]

    @property
    def total_usd_per_w(self) -> tuple[float, float]:
        """(low, high) USD for each W of all parts."""
        low = sum(part.cost_usd_per_w_low for part in self.parts)
        return low, sum(part.cost_usd_per_w_high for part in self.parts)

    def server_usd_per_gpu(self, it_kw_per_gpu: float, pue: float) -> tuple[float, float]:
        """(low, high) USD of servers for one GPU that takes so much IT power.

        A preset per GW of facility power is divided by PUE; an unstated basis counts as facility
        power, the reading that gives the higher cost for a GPU.
        """
        check_positive("it_kw_per_gpu", it_kw_per_gpu)
        check_range("pue", pue, 1.0, 10.0)
        kw = it_kw_per_gpu if self.per_gw_of == "IT power" else it_kw_per_gpu * pue
        servers = [part for part in self.parts if part.part == "servers"]
        low = sum(part.cost_usd_per_w_low for part in servers) * kw * 1e3
        return low, sum(part.cost_usd_per_w_high for part in servers) * kw * 1e3


@cache
def capex_presets() -> tuple[CapexPreset, ...]:
    """Shipped presets, in the table's order."""
    parts: dict[tuple[str, str], list[CapexPart]] = {}
    for row in shipped_rows("capex.csv"):
        part = CapexPart(
            row.text("part"),
            row.number("cost_usd_per_w_low"),
            row.number("cost_usd_per_w_high"),
            row.text("source"),
            row.text("confidence"),
        )
        parts.setdefault((row.text("name"), row.text("per_gw_of")), []).append(part)
    return tuple(CapexPreset(name, basis, tuple(p)) for (name, basis), p in parts.items())


def capex_preset(name: str) -> CapexPreset:
    """The preset of this name.

    Raises:
        UnknownIdError: there is none.
    """
    for preset in capex_presets():
        if preset.name == name:
            return preset
    known = ", ".join(preset.name for preset in capex_presets())
    raise UnknownIdError(f"no capex preset {name!r}", next_step=f"Use one of {known}.")
