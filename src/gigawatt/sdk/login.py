"""Login of a person at a command line: a code to confirm in any browser, then an API key."""

import time
from collections.abc import Callable

from gigawatt.sdk import documents as doc
from gigawatt.sdk.client import Client

SLOWER_S = 5.0
"""What is added to the pause when the provider says so. Source: RFC 8628, 3.5."""


def log_in_by_device(
    client: Client,
    show: Callable[[doc.DeviceLogin], None],
    *,
    name: str = "device login",
    lifetime_s: int | None = None,
    pause: Callable[[float], None] = time.sleep,
) -> doc.ApiKey:
    """An API key of whoever confirms the code; it ends by itself.

    Args:
        client: of the service; it needs no key of its own, so ``Client(url, "")`` will do.
        show: tells the person the code and where to confirm it.
        name: of the key that is made.
        lifetime_s: of the key; the service says how long if None.
        pause: waits for so many seconds.

    Raises:
        GigawattError: the person refused or took too long, or the provider offers no such login.
    """
    begun = client.start_device_login()
    show(begun)
    body = doc.FinishDeviceLogin(device_code=begun.device_code, name=name)
    if lifetime_s is not None:
        body = body.model_copy(update={"lifetime_s": lifetime_s})
    interval_s = begun.interval_s
    while True:
        pause(interval_s)
        result = client.finish_device_login(body)
        if result.key is not None:
            return result.key
        if result.state == "slow_down":
            interval_s += SLOWER_S
