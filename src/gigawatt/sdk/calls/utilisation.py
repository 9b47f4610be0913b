"""The call of utilisation."""

from gigawatt.sdk import documents as doc
from gigawatt.sdk.calls.call import Call, path_of, query_of


def get_utilisation(
    *,
    from_ms: int | None = None,
    to_ms: int | None = None,
    by: doc.UtilisationBy | None = None,
) -> Call[doc.Utilisation]:
    """Where GPU-hours went and what they brought, of the last day unless another time is named."""
    query = query_of(from_ms=from_ms, to_ms=to_ms, by=by)
    return Call("GET", path_of("utilisation"), doc.Utilisation, query)
