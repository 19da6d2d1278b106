"""Masks at the faster presets: what the hook does so that a hard mask does not ruin them."""

import numpy as np
import pytest
from support.pictures import frame

from integration.codec.encoder import Encoder, EncoderConfig
from integration.pipeline.policy import ALL, bits
from toolkit.partition import HORZ, INSIDE_LARGER, VERT

PARTITIONS = bits(HORZ, VERT)


@pytest.mark.usefixtures("libaom")
@pytest.mark.parametrize("cpu_used", [3, 4, 5])
def test_rectangles_alone_do_not_make_a_fast_preset_give_the_node_up(cpu_used: int) -> None:
    """Without NONE and SPLIT libaom would stop there, and code a larger or a smaller block than it wanted."""
    planes = frame(192, 128)
    with Encoder(EncoderConfig(192, 128, cq=43, cpu_used=cpu_used)) as encoder:
        free = encoder.encode(planes)
    table = np.full(256, ALL, np.uint16)
    table[INSIDE_LARGER] = 0
    table[[HORZ, VERT]] = PARTITIONS
    mask = table[free.labels[16]]
    with Encoder(EncoderConfig(192, 128, cq=43, cpu_used=cpu_used)) as encoder:
        masked = encoder.encode(planes, mask)
    kept = (free.labels[16] == masked.labels[16])[mask == PARTITIONS]
    assert kept.size > 0
    assert kept.mean() > 0.7
    assert abs(len(masked.data) / len(free.data) - 1) < 0.02
