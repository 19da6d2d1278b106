"""Comparing logits: error budgets, batch sizes, non-inferiority, worst blocks."""
