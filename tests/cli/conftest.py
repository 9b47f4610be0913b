"""The option that writes the expected output of the scripts anew."""

import pytest


def pytest_addoption(parser: pytest.Parser):
    parser.addoption("--bless", action="store_true", help="write tests/cli/cases/*.out anew")
