"""How long a GPU earns more than it costs, and what it is worth after."""
