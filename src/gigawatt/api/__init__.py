"""The service over HTTP: parse, authorise, call the control plane, render; no rule lives here."""
