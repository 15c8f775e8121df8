"""Measures this PC: what a part costs by stage, and what fits into the budget. Knows the other rooms; only `cli` knows it."""
