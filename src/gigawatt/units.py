"""Unit constants. Quantities are plain numbers whose names end in their unit."""

MINUTE_S = 60
HOUR_S = 3_600
DAY_S = 86_400
KIB = 1 << 10
MIB = 1 << 20
GIB = 1 << 30
TIB = 1 << 40
PIB = 1 << 50
KW_W = 1_000.0
MW_W = 1_000_000.0
