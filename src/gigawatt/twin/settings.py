"""How a replay is run: everything but fleet and jobs."""

from dataclasses import dataclass, field

from gigawatt.intent.queue import QueuePolicy
from gigawatt.twin.failures import FailureRates
from gigawatt.units import HOUR_S, TIB


@dataclass(frozen=True, slots=True)
class TwinSettings:
    """Inputs of a replay. Illustrative where no source is named.

    Fields:
        seed: of all chance.
        queue: in which order jobs are tried.
        rates: how often things break.
        tenant_count: tenants, >= 1; the first ones ask more often.
        spare_from_gpu_count: clusters from this size on hold one spare node.
        storage_bytes: file system of every cluster of whole nodes.
        checkpoint_s: a job hit by a failure goes on from its last whole multiple of this.
        launch_count_max: launches of one job that may be unwound before it counts as failed.
        reconcile_s: from one pass of the reconciler to the next.
        check_s: at least so long from one check to the next; a check follows a pass.
        sample_s: from one sample to the next.
    """

    seed: int = 7
    queue: QueuePolicy = field(default_factory=QueuePolicy)
    rates: FailureRates = field(default_factory=FailureRates)
    tenant_count: int = 12
    spare_from_gpu_count: int = 128
    storage_bytes: int = TIB
    checkpoint_s: float = 1.0 * HOUR_S
    launch_count_max: int = 5
    reconcile_s: float = 2.0 * HOUR_S
    check_s: float = 4.0 * HOUR_S
    sample_s: float = 900.0
