"""``python -m gigawatt.cli``."""

from gigawatt.cli.main import main

main()
