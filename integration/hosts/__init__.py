"""Encoders that use libaom and know nothing of us: our library installed for them, and run in their place."""
