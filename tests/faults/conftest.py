"""Says at the end of a run how many cases of (step, fault) or kills were played."""

import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the sum of the ``cases`` that tests recorded."""
    played: dict[str, int] = {}
    for report in terminalreporter.getreports("passed"):
        if getattr(report, "when", "") == "call":
            for name, value in report.user_properties:
                if name in {"cases", "kills"}:
                    played[name] = played.get(name, 0) + int(value)
    if played:
        said = ", ".join(f"{count:,} {name}" for name, count in sorted(played.items()))
        terminalreporter.write_line(f"faults: {said}")
