"""The tenant's own command for a notice: run with the notice in its environment, until a deadline.

It runs as ``/bin/sh -c COMMAND`` in a session of its own, so that all it has started ends with it.
"""

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gigawatt.sdk import documents as doc

END_S = 5.0
"""How long a command has after SIGTERM until SIGKILL. Ours."""


@dataclass(frozen=True, slots=True)
class HookResult:
    """How a command ended; ``reason`` is empty where it went well."""

    is_saved: bool
    reason: str = ""


def environment_of(
    notice: doc.Notice, cluster_name: str, hostnames: Sequence[str]
) -> Mapping[str, str]:
    """What a command is told, beside the environment of who watches."""
    return {
        "GW_NOTICE_ID": notice.id,
        "GW_NOTICE_CLUSTER": cluster_name,
        "GW_NOTICE_CLUSTER_ID": notice.cluster_id,
        "GW_NOTICE_NODES": " ".join(notice.nodes),
        "GW_NOTICE_HOSTS": " ".join(hostnames),
        "GW_NOTICE_CAUSE": notice.cause,
        "GW_NOTICE_REASON": notice.reason,
        "GW_NOTICE_DEADLINE": notice.deadline_at.isoformat(),
        "GW_NOTICE_SECONDS": str(int(notice.seconds_left)),
    }


def run_hook(command: str, environment: Mapping[str, str], left_s: float) -> HookResult:
    """Run a command for at most ``left_s`` seconds; whatever ends this ends it too."""
    with subprocess.Popen(  # noqa: S603 - the tenant's own command, on the tenant's side
        ["/bin/sh", "-c", command], env={**os.environ, **environment}, start_new_session=True
    ) as process:
        try:
            status = process.wait(max(0.0, left_s))
        except subprocess.TimeoutExpired:
            _end(process)
            return HookResult(is_saved=False, reason="it was not done by the deadline")
        except BaseException:
            _end(process)
            raise
    if status == 0:
        return HookResult(is_saved=True)
    how = f"exit status {status}" if status > 0 else f"ended by signal {-status}"
    return HookResult(is_saved=False, reason=how)


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End a command and all that it has started."""
    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(END_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
