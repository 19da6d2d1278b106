"""The libaom that the tests encode with."""

from integration.codec.libaom_versions import version

IN_USE = version().name
"""Its version, as in 3.14.1: the newest in the table, unless AV1PART_LIBAOM names another."""
EARLIER = "3.12.0"
"""A version that is none of the table's."""
