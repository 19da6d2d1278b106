"""Clips and photographs in, containers out, and quality measured."""
