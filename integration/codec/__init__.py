"""libaom from Python: its build, the encoder with the hook, masks in and partitions out."""
