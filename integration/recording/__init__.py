"""The recorder: libaom codes sources, and its partitions, costs and search are kept as a BlockSet or a record."""
