"""Partition ids read by a decoder: an independent check of the encoder's labels."""

import ctypes
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from integration.codec import native
from integration.codec.libaom_build import libraries
from toolkit.errors import ToolkitError
from toolkit.partition import NODE


def inspect_packets(
    packets: Iterable[bytes], width: int, height: int, node_size: int = NODE
) -> Iterator[tuple[NDArray[np.uint8], int]]:
    """Yield, for each packet of an AV1 stream, its labels uint8 (rows, columns) and its qindex.

    The labels are of nodes of `node_size` pixels, one of NODE_SIZES, and mean the same as `EncodedFrame.labels`. Raises
    ToolkitError where libaom cannot decode a packet, or where frames are not of that width and height.
    """
    library = native.load(libraries().hook)
    handle = ctypes.c_void_p()
    status = library.av1part_inspector_open(width, height, ctypes.byref(handle))
    if status:
        raise ToolkitError(f"Inspector: {native.explain(library, status, None)}.")
    try:
        for number, packet in enumerate(packets):
            labels = np.empty((-(-height // node_size), -(-width // node_size)), np.uint8)
            qindex = ctypes.c_int()
            status = library.av1part_inspect(
                handle, packet, len(packet), node_size, labels.ctypes.data, *labels.shape, ctypes.byref(qindex)
            )
            if status:
                detail = library.av1part_inspector_detail(handle)
                raise ToolkitError(f"Packet {number}: {native.explain(library, status, detail)}.")
            yield labels, qindex.value
    finally:
        library.av1part_inspector_close(handle)
