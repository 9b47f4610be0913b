"""The market as the service runs it: rates, usage, billing, reservations, spot."""
