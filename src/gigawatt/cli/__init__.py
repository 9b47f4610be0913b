"""The command line: parse, call, render; no rule lives here."""
