"""What stays in memory as long as a server runs, and is not looked through again and again."""

import gc


def keep_heap() -> None:
    """Tell Python's collector that all there is now stays: code, fleet, what is wired.

    Once, when a server is ready. A full collection looked through all of it for 0.2 s, in which
    nobody was answered (``bench/console_pages.py``, 10,000 GPUs).
    """
    gc.collect()
    gc.freeze()
