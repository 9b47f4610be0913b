"""Whether a host hears another, as arping says; for all tests that ask."""


def hears(address: str, call_count: int = 2, wait_s: int = 2, interface: str = "eth0") -> str:
    """Shell words that succeed if anything answers for ``address``.

    Not by arping's exit status: it fails as well when only the first call got no answer.
    """
    words = f"arping -f -c {call_count} -w {wait_s} -I {interface} {address}"
    return f"{words} | grep -q 'reply from'"
