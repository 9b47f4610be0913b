"""Published measurements, what we compute for them, and how far apart the two are."""
