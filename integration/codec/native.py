"""The C interface of integration/libaom/av1part_hook.h, declared for ctypes."""

import ctypes
from collections.abc import Mapping
from ctypes import (
    POINTER,
    c_char_p,
    c_double,
    c_float,
    c_int,
    c_int32,
    c_int64,
    c_size_t,
    c_uint8,
    c_uint16,
    c_uint32,
    c_void_p,
)
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from integration.codec.config import NODE_SIZES
from toolkit.errors import ToolkitError
from toolkit.partition import STAGES
from toolkit.search.table import FRAME_KINDS, TABLES, Feature

API_VERSION = 15


class Config(ctypes.Structure):
    _fields_ = (
        ("struct_size", c_uint32),
        ("width", c_int32),
        ("height", c_int32),
        ("bit_depth", c_int32),
        ("chroma", c_int32),
        ("cq", c_int32),
        ("cpu_used", c_int32),
        ("all_intra", c_int32),
        ("keyint", c_int32),
        ("threads", c_int32),
        ("lag", c_int32),
        ("still", c_int32),
        ("four_way", c_int32),
        ("tune", c_int32),
    )


class Source(ctypes.Structure):
    _fields_ = (
        ("luma", c_void_p),
        ("stride", c_int32),
        ("width", c_int32),
        ("height", c_int32),
        ("bit_depth", c_int32),
        ("qindex", c_int32),
        ("key_frame", c_int32),
        ("frame_number", c_int64),
    )


class Mask(ctypes.Structure):
    _fields_ = (
        ("allowed", POINTER(c_uint16)),
        ("rows", c_int32),
        ("columns", c_int32),
    )


class Result(ctypes.Structure):
    _fields_ = (
        ("data", POINTER(c_uint8)),
        ("size", c_size_t),
        ("frame_number", c_int64),
        ("qindex", c_int32),
        ("intra_frame", c_int32),
        ("mask_failed", c_int32),
        ("masked_blocks", c_int32 * len(NODE_SIZES)),
        ("kept_blocks", c_int32 * len(NODE_SIZES)),
        ("key_frame", c_int32),
        ("superblock", c_int32),
    )


FULL, MAX_ENCODERS = -5, 64
"""AV1PART_ERR_FULL and AV1PART_MAX_ENCODERS in C: the status of one encoder too many, and how many may be open."""
NODE_COSTS = np.dtype([("rd", np.float32, 10), ("seconds", np.float32, 10), ("bound", np.uint16)], align=True)
"""Record of one node's costs, av1part_node_costs in C."""

AskCallback = ctypes.CFUNCTYPE(c_int, c_void_p, c_int, POINTER(c_float), POINTER(c_float), c_int32, POINTER(c_float))


class Network(ctypes.Structure):
    _fields_ = (
        ("present", c_int32),
        ("context", c_int32),
        ("graph", c_char_p),
        ("size", c_size_t),
    )


class PipelineConfig(ctypes.Structure):
    _fields_ = (
        ("struct_size", c_uint32),
        ("node_size", c_int32),
        ("bit_depth", c_int32),
        ("threads", c_int32),
        ("ranges", c_int32),
        ("to_qindex", POINTER(c_int32)),
        ("thresholds", POINTER(c_double)),
        ("networks", Network * len(STAGES)),
        ("runtime", c_char_p),
        ("ask", AskCallback),
        ("user", c_void_p),
    )


MaskCallback = ctypes.CFUNCTYPE(c_int, c_void_p, POINTER(Source), POINTER(Mask))

_ENCODER = (
    ("av1part_api_version", c_int, ()),
    ("av1part_libaom_version", c_char_p, ()),
    ("av1part_status_text", c_char_p, (c_int,)),
    ("av1part_open", c_int, (POINTER(Config), POINTER(c_void_p), c_char_p, c_size_t)),
    ("av1part_close", None, (c_void_p,)),
    ("av1part_error_detail", c_char_p, (c_void_p,)),
    ("av1part_set_mask_callback", c_int, (c_void_p, MaskCallback, c_void_p)),
    ("av1part_set_colour", c_int, (c_void_p, c_int, c_int, c_int, c_int)),
    ("av1part_set_chroma_position", c_int, (c_void_p, c_int)),
    ("av1part_set_render_size", c_int, (c_void_p, c_int, c_int)),
    ("av1part_set_time", c_int, (c_void_p, c_int64, c_int64)),
    ("av1part_add_metadata", c_int, (c_void_p, c_int, c_char_p, c_size_t)),
    ("av1part_disable_cnn", c_int, (c_void_p, c_int)),
    ("av1part_log_costs", c_int, (c_void_p, c_int)),
    ("av1part_encode", c_int, (c_void_p, c_void_p * 3, c_size_t * 3, POINTER(Mask), POINTER(Result))),
    ("av1part_flush", c_int, (c_void_p, POINTER(Result))),
    ("av1part_reconstruction", c_int, (c_void_p, c_int, c_void_p, c_size_t)),
    ("av1part_labels", c_int, (c_void_p, c_int, c_void_p, c_int, c_int)),
    ("av1part_costs", c_int, (c_void_p, c_int, c_void_p, c_int, c_int)),
)
_SEARCH = (
    ("av1part_feature", c_int, (c_int, c_int, POINTER(c_char_p), POINTER(c_char_p), POINTER(c_int))),
    ("av1part_feature_table", c_uint32, (c_int,)),
    ("av1part_load_pruner", c_int, (c_void_p, c_char_p)),
    ("av1part_search_inter", c_int, (c_void_p, c_int)),
    ("av1part_load_pipeline", c_int, (c_void_p, c_char_p)),
    ("av1part_masker_open", c_int, (POINTER(c_void_p),)),
    ("av1part_masker_close", None, (c_void_p,)),
    ("av1part_masker_add", c_int, (c_void_p, POINTER(PipelineConfig), c_char_p, c_size_t)),
    ("av1part_masker_load", c_int, (c_void_p, c_char_p, c_char_p, c_size_t)),
    ("av1part_masker_masks", c_int, (c_void_p, POINTER(Source), POINTER(Mask), c_char_p, c_size_t)),
    ("av1part_record_search", c_int, (c_void_p, c_double, c_uint32)),
    ("av1part_search_rows", c_int, (c_void_p, POINTER(c_void_p), POINTER(c_size_t))),
    ("av1part_set_pruner", c_int, (c_void_p, c_char_p, c_size_t, c_double, c_double)),
    ("av1part_override_feature", c_int, (c_void_p, c_char_p, c_int)),
    ("av1part_decisions", c_int, (c_void_p, c_void_p)),
    ("av1part_pruner_evaluate", c_int, (c_char_p, c_size_t, c_int, c_int, c_void_p, c_size_t, c_void_p)),
)
_INSPECTOR = (
    ("av1part_inspector_open", c_int, (c_int, c_int, POINTER(c_void_p))),
    ("av1part_inspector_close", None, (c_void_p,)),
    ("av1part_inspector_detail", c_char_p, (c_void_p,)),
    ("av1part_inspect", c_int, (c_void_p, c_char_p, c_size_t, c_int, c_void_p, c_int, c_int, POINTER(c_int))),
)


def masks_of(masks: Mapping[int, NDArray[np.uint16]]) -> Any:
    """Array of the C interface, one entry a node size, NULL where a size has no mask. `masks` must outlive the call."""
    entries = (Mask * len(NODE_SIZES))()
    for entry, size in zip(entries, NODE_SIZES, strict=True):
        if size in masks:
            entry.allowed = masks[size].ctypes.data_as(POINTER(c_uint16))
            entry.rows, entry.columns = masks[size].shape
    return entries


@cache
def load(path: Path) -> ctypes.CDLL:
    """Open a library of ours and declare its functions; ToolkitError where it does not load or has another version."""
    try:
        library = ctypes.CDLL(str(path))
    except OSError as error:
        raise ToolkitError(f"{path}: does not load ({error}). Run `av1part encoder build`.") from None
    hooked = hasattr(library, "av1part_inspect")  # the library over untouched libaom has neither
    for name, result, arguments in _ENCODER + (_SEARCH + _INSPECTOR if hooked else ()):
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    version = int(library.av1part_api_version())
    if version != API_VERSION:
        raise ToolkitError(f"{path}: interface version {version}, expected {API_VERSION}. Build it again.")
    return library


def libaom_version(library: ctypes.CDLL) -> str:
    """Version of libaom, such as 3.14.1."""
    return bytes(library.av1part_libaom_version()).decode().removeprefix("v")


def explain(library: ctypes.CDLL, status: int, detail: bytes | None) -> str:
    """Put a status into words, with the library's detail where it gives one."""
    text = bytes(library.av1part_status_text(status)).decode()
    return f"{text} ({detail.decode(errors='replace')})" if detail else text


def check(library: ctypes.CDLL, encoder: c_void_p, status: int) -> None:
    """Raise ToolkitError with the encoder's own explanation unless the status means success."""
    if status:
        raise ToolkitError(f"Encoder: {explain(library, status, library.av1part_error_detail(encoder))}.")


def feature_table_name(library: ctypes.CDLL, kind: str = "key") -> str:
    """Eight hexadecimal digits that name the hook's table of a kind's features, their version included."""
    return f"{library.av1part_feature_table(FRAME_KINDS.index(kind)):08x}"


def feature_table(library: ctypes.CDLL, kind: str = "key") -> tuple[Feature, ...]:
    """Features that the hook records and decides by in frames of a kind, as it lists them itself."""
    name, unit, point = c_char_p(), c_char_p(), c_int()
    table = []
    for index in range(len(TABLES[kind])):
        if library.av1part_feature(FRAME_KINDS.index(kind), index, *map(ctypes.byref, (name, unit, point))):
            raise ToolkitError(
                f"The hook has {index} features, expected {len(TABLES[kind])}. Run `av1part encoder build` again."
            )
        table.append(Feature((name.value or b"").decode(), (unit.value or b"").decode(), point.value))
    return tuple(table)
