"""What shall be watched, and where it is shown."""

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from gigawatt.errors import InputError

LogFormat = Literal["text", "json"]

METRICS_VARIABLE = "GIGAWATT_METRICS_LISTEN"
"""Environment variable with HOST:PORT of the metrics."""
METRICS_KEY_VARIABLE = "GIGAWATT_METRICS_KEY_FILE"
"""Environment variable that names a file with the bearer key of the metrics."""
LOG_VARIABLE = "GIGAWATT_LOG_FORMAT"
"""Environment variable with "text" or "json"."""
REPLICA_VARIABLE = "GIGAWATT_REPLICA"
"""Environment variable with the name of this replica on its own series."""
TELEMETRY_VARIABLE = "GIGAWATT_TELEMETRY"
"""Environment variable with what GPUs report: a URL, the path of a file, or "simulated"."""
TRACE_VARIABLES = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
"""Standard environment variables of OpenTelemetry; one that is set turns traces on."""


@dataclass(frozen=True, slots=True)
class WatchSettings:
    """Everything off but logs as text.

    Fields:
        metrics_listen: HOST:PORT of the listener of the metrics, None for none. Without a key the
            host must be a loopback address.
        metrics_key_file: file with the key that whoever reads metrics sends as bearer, None to ask
            for none.
        log_format: of lines on standard error.
        replica: on series that one process counted; the name of the host unless given, so that it
            stays the same when the process starts again.
        telemetry: where samples of GPUs come from: URL, path, "simulated", or None for nowhere.
        is_tracing: whether spans go to the OTLP endpoint that the environment names.
        proof_pause_s: pause between proofs that all targets are isolated, None for no proofs.
    """

    metrics_listen: str | None = None
    metrics_key_file: Path | None = None
    log_format: LogFormat = "text"
    replica: str = ""
    telemetry: str | None = None
    is_tracing: bool = False
    proof_pause_s: float | None = 300.0

    @classmethod
    def of_environment(cls, environment: Mapping[str, str] | None = None) -> "WatchSettings":
        """The settings in environment variables, those of this process unless given.

        Raises:
            InputError: the format of logs is neither "text" nor "json".
        """
        found = os.environ if environment is None else environment
        log_format = found.get(LOG_VARIABLE) or "text"
        if log_format not in {"text", "json"}:
            raise InputError(f"{LOG_VARIABLE} is {log_format!r}, wanted 'text' or 'json'")
        key_file = found.get(METRICS_KEY_VARIABLE)
        return cls(
            metrics_listen=found.get(METRICS_VARIABLE) or None,
            metrics_key_file=Path(key_file) if key_file else None,
            log_format=cast("LogFormat", log_format),
            replica=found.get(REPLICA_VARIABLE) or socket.gethostname(),
            telemetry=found.get(TELEMETRY_VARIABLE) or None,
            is_tracing=any(found.get(name) for name in TRACE_VARIABLES),
        )
