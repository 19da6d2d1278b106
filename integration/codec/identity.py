"""What decides an encoder's results, beside av1part's own code."""

from collections.abc import Mapping

from integration.codec import native
from integration.codec.libaom_build import libraries
from toolkit.search.table import FRAME_KINDS


def encoder_identity() -> Mapping[str, str]:
    """Build of libaom, and its tables of features."""
    own = libraries()
    tables = [native.feature_table_name(native.load(own.hook), kind) for kind in FRAME_KINDS]
    return {"libaom": own.name, "features": " ".join(tables)}
