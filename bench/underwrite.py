"""How long 10,000 cases of each example deal take; prints one line a deal."""

import time
from pathlib import Path

import numpy as np

from gigawatt.economics.finance.deal_yaml import load_deal
from gigawatt.economics.finance.monte_carlo import simulate
from gigawatt.economics.finance.underwriting import underwrite

CASES = 10_000


def main() -> None:
    folder = Path(__file__).parents[1] / "examples" / "deals"
    for path in sorted(folder.glob("*.yaml")):
        start = time.perf_counter()
        signed = underwrite(load_deal(path.read_text(encoding="utf-8"), path.name))
        sized = time.perf_counter()
        simulate(signed, np.random.default_rng(1), CASES)
        took = time.perf_counter() - sized
        print(
            f"{path.stem}: read and sized in {sized - start:.3f} s, "
            f"{CASES:,} cases x {signed.deal.period_count} periods in {took:.2f} s"
        )


if __name__ == "__main__":
    main()
