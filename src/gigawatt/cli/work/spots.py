"""Spot: prices, notices, checkpoints."""

from gigawatt.cli.options import Format
from gigawatt.cli.output import Listing, console, count_of, moment, show_list, span, table, write
from gigawatt.cli.work.connect import PAGE_LIMIT, connected
from gigawatt.cli.work.pricewords import TERM_WORDS
from gigawatt.money import format_usd
from gigawatt.sdk import calls
from gigawatt.sdk import documents as doc


def show_prices(form: Format) -> None:
    """Show the price of the last round at each place."""
    with connected() as connection:
        found = connection.client.list_spot_prices().items
    if form is not Format.TABLE:
        write([row.model_dump(mode="json") for row in found], form)
        return
    if not found:
        console.print("no round was held yet: nobody bid")
        return
    table(
        ("type", "site", "a GPU-hour", "from", "offered", "sold", "bids", "since"),
        [
            (
                row.gpu_type,
                row.site_id,
                format_usd(row.price_micro_usd_per_gpu_hour, digits=4),
                format_usd(row.floor_micro_usd_per_gpu_hour, digits=4),
                f"{row.offered_gpu_count:,}",
                f"{row.sold_gpu_count:,}",
                f"{row.bid_count:,}",
                moment(row.at.timestamp()),
            )
            for row in found
        ],
    )


def show_order(form: Format) -> None:
    """Show the order of classes."""
    with connected() as connection:
        found = connection.client.get_market_order()
    if form is not Format.TABLE:
        write(found.model_dump(mode="json"), form)
        return
    for place, rule in enumerate(found.order, start=1):
        console.print(f"{place}. {TERM_WORDS[rule.term]}: {rule.sentence}")


def list_notices(form: Format, *, everything: bool, quiet: bool) -> None:
    """List nodes that clusters have to give back."""
    with connected() as connection:
        pages = connection.client.pages(calls.list_notices, with_ended=everything, limit=PAGE_LIMIT)
        listing: Listing[doc.Notice] = Listing(
            ("cluster", "nodes", "deadline", "left", "state", "work", "why", "id"),
            lambda n: (
                n.cluster_id,
                len(n.nodes),
                moment(n.deadline_at.timestamp()),
                span(n.seconds_left),
                n.state,
                n.answer or "-",
                n.reason,
                n.id,
            ),
            "nothing is wanted back",
        )
        show_list(list(pages), form, listing, quiet=quiet)


def note_saved(cluster: str, tenant: str | None, *, gives_back: bool) -> None:
    """Say that the work of a cluster is saved, and give back what is asked back."""
    with connected() as connection:
        client, cluster_id = connection.client, connection.cluster(cluster, tenant).id
        found = client.note_checkpoint(cluster_id)
        console.print(f"saved at {moment(found.saved_at.timestamp())}")
        for notice in client.get_cluster(cluster_id).notices if gives_back else ():
            client.answer_notice(notice.id, doc.AnswerNotice(answer="saved"))
            console.print(f"{count_of(len(notice.nodes), 'node')} can be taken now")
