"""What the tenant gets: files that make a cluster usable, rendered from its target."""
