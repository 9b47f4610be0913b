"""The seams: what a driver, a store and a clock must offer."""
