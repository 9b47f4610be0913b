"""How it happens: journaled apply, unwind, verify, reconcile."""
