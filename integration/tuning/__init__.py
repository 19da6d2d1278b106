"""Seeking a policy's thresholds on recorded RD costs, tried by encoding."""
