"""Made-up sales in the Online Retail format, as dirty as the real ones and always the same."""

from __future__ import annotations

import csv
import random
from pathlib import Path

from deploy.replay.retail import COLUMNS

COUNTRIES = ("United Kingdom",) * 12 + ("Germany", "France", "EIRE", "Spain", "Australia", "Unspecified")
STOCK_CODES = 400
LINES_MAX = 8


def write_sales(path: Path, orders: int, *, seed: int = 7) -> Path:
    """Write `orders` sales among cancellations, adjustments and free goods; return the path."""
    rng = random.Random(seed)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for number in range(orders):
            country = rng.choice(COUNTRIES)
            for _ in range(rng.randint(1, LINES_MAX)):
                # A tenth of the codes takes half of the sales, so that rows are fought for.
                code = rng.randrange(STOCK_CODES // 10 if rng.random() < 0.5 else STOCK_CODES)
                price = f"{1 + code % 9}.{rng.choice(('25', '95'))}"
                row = [
                    f"{code:05d}",
                    f"ARTICLE {code}",
                    rng.randint(1, 12),
                    "2010-12-01 08:26:00",
                    price,
                    "",
                    country,
                ]
                writer.writerow([500_000 + number, *row])
            if number % 50 == 0:
                writer.writerow(
                    [f"C{600_000 + number}", "00001", "", -1, "2010-12-01 08:26:00", "1.00", "", country]
                )
                writer.writerow(
                    [700_000 + number, "00002", "found", 3, "2010-12-01 08:26:00", "0.00", "", country]
                )
    return path
