"""A market in the twin: a fleet sold on demand, reserved and by spot under one policy."""
