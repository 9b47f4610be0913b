"""Every page of the console by name; ``{...}`` stands for an id that the test has made."""

PAGES = {
    "clusters": "/clusters",
    "launch": "/launch",
    "operation": "/operations/{operation}",
    "cluster": "/clusters/{cluster}",
    "topology": "/clusters/{cluster}?tab=topology",
    "isolation": "/clusters/{cluster}?tab=isolation",
    "connect": "/clusters/{cluster}?tab=connect",
    "change": "/clusters/{cluster}?tab=change",
    "events": "/clusters/{cluster}?tab=events",
    "file-systems": "/file-systems",
    "ssh-keys": "/ssh-keys",
    "members": "/members",
    "quotas": "/quotas",
    "sessions": "/sessions",
    "invoices": "/invoices",
    "budgets": "/budgets",
    "rates": "/rates",
    "reservations": "/reservations",
    "reserve": "/reservations/new",
    "no-page": "/no/such/page",
}

OPERATOR_PAGES = {
    "fleet": "/fleet",
    "nodes": "/nodes",
    "node": "/nodes/{node}",
    "utilisation": "/utilisation",
    "stranded": "/stranded",
    "power": "/power",
    "demand": "/demand",
    "proofs": "/proofs",
    "reconciler": "/reconciler",
    "audit": "/audit",
    "margin": "/margin",
    "payments": "/payments",
    "months": "/months",
    "set-rate": "/rates/new",
}

WIDE = {"width": 1280, "height": 900}
PHONE = {"width": 390, "height": 844}
