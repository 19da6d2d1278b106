"""The values of the features: they may not change under their names without a new version."""

import hashlib

import numpy as np
from support.pictures import frame

from integration.codec import native
from integration.codec.config import EncoderConfig
from integration.codec.encoder import Encoder
from integration.codec.libaom_build import Libraries

RECORDED = {
    ("3.12.1", "96c74ecb"): "69797ff67191bef1",
    ("3.14.1", "96c74ecb"): "5a1e5328600e2977",
}
"""By libaom's version, and the table's name, which holds AV1PART_FEATURES_VERSION: hash of a small picture's features
to three decimals. Another libaom tries other partitions, and so records other squares.

Where this fails on a libaom that is listed, what a feature says has changed: raise AV1PART_FEATURES_VERSION, add the
new hash, fit pruners again.
"""


def test_values_change_only_with_the_version_of_their_table(libaom: Libraries) -> None:
    with Encoder(EncoderConfig(192, 128, cq=40, cpu_used=2, four_way=True)) as encoder:
        encoder.record_search()
        encoder.encode(frame(192, 128))
        values = np.round(encoder.search_rows()["features"].astype(np.float64), 3) + 0.0
    found = hashlib.sha256(values.tobytes()).hexdigest()[:16]
    assert RECORDED.get((libaom.version, native.feature_table_name(native.load(libaom.hook)))) == found
