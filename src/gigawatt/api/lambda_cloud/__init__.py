"""A second door at /api/v1 that speaks the Lambda Cloud API, so that its tools work unchanged."""
