"""Says at the end of a run how many cases of (step, fault) or kills were played."""

import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the sums of the counts that tests recorded."""
    played: dict[str, int] = {}
    for report in terminalreporter.getreports("passed"):
        if getattr(report, "when", "") == "call":
            for name, value in report.user_properties:
                if isinstance(value, int):
                    played[name] = played.get(name, 0) + value
    if played:
        said = ", ".join(f"{count:,} {name}" for name, count in sorted(played.items()))
        terminalreporter.write_line(f"faults: {said}")
