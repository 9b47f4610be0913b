"""Watching the system: metrics, traces, logs and telemetry of GPUs. Nobody else knows their SDKs."""
