"""Real components of an AI factory on one Linux machine, started for a fleet and taken down."""
