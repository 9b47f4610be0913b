"""Watching the system: metrics, traces, logs, telemetry of GPUs. Only here are their SDKs known."""
