"""The host plane on bare metal: whole nodes, powered, booted and cleaned by their BMCs alone."""
