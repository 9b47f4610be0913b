"""Project finance of GPUs: a deal, its debt, its waterfall, its risks, all pure."""
