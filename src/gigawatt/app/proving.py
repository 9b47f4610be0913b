"""A proof of the whole fleet, with what is needed to tell it to people."""

from dataclasses import dataclass

from gigawatt.app.control import Control
from gigawatt.boundary.proof import Proof, Violation
from gigawatt.executor.readback import ReadBack
from gigawatt.ids import ClusterId, TenantId


@dataclass(frozen=True, slots=True)
class FleetProof:
    """A proof and what stood around it.

    Fields:
        proof: what was decided.
        seen: what the devices held, None if none was asked.
        busy: clusters with an operation under way, which are not whole yet.
        names: name and tenant of each cluster.
    """

    proof: Proof
    seen: ReadBack | None
    busy: frozenset[ClusterId]
    names: dict[ClusterId, tuple[str, TenantId]]

    @property
    def violations(self) -> list[Violation]:
        """Violations without those that an operation under way explains: what is not there yet."""
        return [
            v
            for v in self.proof.violations
            if v.breaks == "isolation" or not set(v.cluster_ids) <= self.busy
        ]


async def prove_fleet(control: Control, *, asks_devices: bool) -> FleetProof:
    """A proof of isolation of all clusters, from the devices or from the records alone."""
    seen: ReadBack | None = None
    if asks_devices:
        proof, seen = await control.prove_devices()
    else:
        proof = control.prove_targets()
    store = control.around.store
    return FleetProof(
        proof,
        seen,
        frozenset(operation.cluster_id for operation in store.open_operations()),
        {c.cluster_id: (c.name, c.tenant_id) for c in store.clusters()},
    )
