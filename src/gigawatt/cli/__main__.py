"""``python -m gigawatt.cli``."""

from gigawatt.cli.main import main

if __name__ == "__main__":  # a process that computes for the server reads this file too
    main()
