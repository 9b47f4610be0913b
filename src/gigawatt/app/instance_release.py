"""Gives back the instances that nobody wants any more, once their clusters are active.

Who terminates an instance that is still booting asks for its launch to be undone. If the launch
was done in that very moment, the wish would be lost; so it is kept with the instance, and whoever
carries operations on looks for such wishes.
"""

from contextlib import suppress

from gigawatt.app.control import Control
from gigawatt.errors import ConflictError, InputError
from gigawatt.interfaces.instances import Instances

RELEASE_COUNT_MAX = 8
"""Releases committed in one look, so that other work goes on between. Ours."""


def release_unwanted(control: Control, instances: Instances) -> None:
    """Commit the release of active instances that their tenants want gone."""
    for cluster_id in instances.unwanted(RELEASE_COUNT_MAX):
        # Somebody else was faster: another server, or the tenant by the native API.
        with suppress(ConflictError, InputError):
            control.commit(control.plan_release(cluster_id))
