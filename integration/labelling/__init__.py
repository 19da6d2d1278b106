"""Coding sources with libaom and recording its partitions as a BlockSet."""
