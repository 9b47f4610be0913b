"""Rates, usage, bills, reservations and spot: what the service does with the market's rules."""
