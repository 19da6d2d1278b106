"""One frame coded by libaom, with everything that is read back about it."""

import ctypes
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from integration.codec import native
from integration.codec.config import NODE_SIZES, EncoderConfig
from toolkit.data.blockset import COST_DTYPE, Luma, luma_dtype
from toolkit.partition import INSIDE_LARGER


@dataclass(frozen=True)
class EncodedFrame:
    """One shown frame.

    `data` is its packet (one temporal unit). `number` counts frames from 0 in the order in which they were given.
    `reconstruction` holds its planes, shaped like the input.

    `superblock` is the side in pixels, 64 or 128, of the largest squares that libaom searches; 0 from a library
    without the hook. `labels` maps each node size to uint8 (rows, columns) of AV1 partition ids; 255 marks a node
    inside a larger block, cut by the frame's edge, or larger than the superblock. `costs` maps each node size whose
    costs are logged to COST_DTYPE (rows, columns), all NaN at nodes that were not searched; it is empty where none are
    logged, or no frame was coded.

    `masked_nodes` counts the nodes of all sizes at which the mask took something away; `kept_nodes` those at which it
    would have left nothing and was therefore ignored. `masked` tells whether the frame had a mask, `mask_error` why a
    mask source gave none.

    With lag, a packet may hold hidden frames: labels, `qindex` and `intra` are those of the last frame coded in it. A
    packet that only shows a frame coded before has labels of 255 and a `qindex` of -1.
    """

    data: bytes
    number: int
    qindex: int
    key: bool
    intra: bool
    labels: Mapping[int, NDArray[np.uint8]]
    reconstruction: tuple[Luma, ...]
    masked_nodes: int
    kept_nodes: int
    masked: bool
    mask_error: str | None
    superblock: int = 0
    costs: Mapping[int, NDArray[Any]] = field(default_factory=dict)


def read_frame(
    library: ctypes.CDLL,
    handle: ctypes.c_void_p,
    config: EncoderConfig,
    result: native.Result,
    *,
    has_labels: bool,
    cost_nodes: Sequence[int],
    mask_given: bool,
    mask_error: str | None,
) -> EncodedFrame:
    """Read the frame of a packet; only possible before the encoder's next call.

    `has_labels`: the library has the hook. `cost_nodes`: the node sizes whose costs are logged. `mask_given`: a mask
    source is set, or masks came with the frame. Raises ToolkitError where libaom reports an error.
    """
    failed, intra, coded = bool(result.mask_failed), bool(result.intra_frame), result.qindex >= 0
    labels = {
        size: read_labels(library, handle, config, size)
        if has_labels and coded
        else np.full(config.grid(size), INSIDE_LARGER, np.uint8)
        for size in NODE_SIZES
    }
    return EncodedFrame(
        data=ctypes.string_at(result.data, result.size),
        number=result.frame_number,
        qindex=result.qindex,
        key=bool(result.key_frame),
        intra=intra,
        labels=labels,
        reconstruction=tuple(read_reconstruction(library, handle, config, plane) for plane in range(config.planes)),
        masked_nodes=sum(result.masked_blocks),
        kept_nodes=sum(result.kept_blocks),
        masked=intra and not failed and mask_given,
        mask_error=mask_error if failed else None,
        superblock=result.superblock,
        costs={size: read_costs(library, handle, config, size) for size in cost_nodes} if coded else {},
    )


def read_labels(
    library: ctypes.CDLL, handle: ctypes.c_void_p, config: EncoderConfig, node_size: int
) -> NDArray[np.uint8]:
    """Partition ids (rows, columns) of the last frame coded; ToolkitError before there is one."""
    target = np.empty(config.grid(node_size), np.uint8)
    native.check(library, handle, library.av1part_labels(handle, node_size, target.ctypes.data, *target.shape))
    return target


def read_costs(library: ctypes.CDLL, handle: ctypes.c_void_p, config: EncoderConfig, node_size: int) -> NDArray[Any]:
    """COST_DTYPE (rows, columns) of the last frame coded; ToolkitError where its costs were not logged."""
    found = np.empty(config.grid(node_size), native.NODE_COSTS)
    native.check(library, handle, library.av1part_costs(handle, node_size, found.ctypes.data, *found.shape))
    target = np.empty(found.shape, COST_DTYPE)
    for name in native.NODE_COSTS.names or ():
        target[name] = found[name]
    return target


def read_reconstruction(library: ctypes.CDLL, handle: ctypes.c_void_p, config: EncoderConfig, plane: int) -> Luma:
    """One plane of the last frame shown; ToolkitError before there is one."""
    target: Luma = np.empty(config.plane_shape(plane), luma_dtype(config.bit_depth))
    stride = target.shape[1] * target.itemsize
    native.check(library, handle, library.av1part_reconstruction(handle, plane, target.ctypes.data, stride))
    return target
