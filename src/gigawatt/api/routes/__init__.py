"""Handlers, one file a noun. Each asks its ``Access`` first, then calls, then renders."""
