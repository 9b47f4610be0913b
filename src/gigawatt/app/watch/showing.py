"""Shows what is watched: the metrics' listener, telemetry, and regular proofs of isolation."""

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from gigawatt.app.address import parse_listen
from gigawatt.app.control import Control
from gigawatt.app.watch.listener import Page, listening, read_key
from gigawatt.app.watch.telemetry import exposition_of, open_telemetry
from gigawatt.app.watch.watching import Repeater, Watching
from gigawatt.errors import DataError

_log = logging.getLogger("gigawatt.watch")


def _telemetry_page(control: Control, source: str) -> Page:
    around = control.around
    telemetry = open_telemetry(source, around.fleet, around.clock)

    def page() -> bytes:
        try:
            return exposition_of(telemetry.read(), around.fleet)
        except DataError as error:
            _log.warning("%s", error)
            return b""

    return page


@contextmanager
def showing(watched: Watching, control: Control) -> Iterator[tuple[str, int] | None]:
    """Show metrics at the address of the settings, until the block ends; where, None for nowhere.

    Raises:
        DataError: the address cannot be had.
        InputError: the address is malformed or needs a key, or the key cannot be read.
    """
    settings = watched.settings
    with ExitStack() as stack:
        if settings.metrics_listen is None:
            yield None
            return
        pages = {"/metrics": watched.exposition}
        if settings.telemetry is not None:
            pages["/telemetry"] = _telemetry_page(control, settings.telemetry)
        if settings.proof_pause_s is not None:
            prover = Repeater(control.prove_targets, settings.proof_pause_s, "gigawatt-prover")
            prover.start()
            stack.callback(prover.stop)
        address = parse_listen(settings.metrics_listen)
        place = stack.enter_context(listening(pages, address, read_key(settings)))
        _log.info("metrics on http://%s:%d/metrics", *place)
        yield place
