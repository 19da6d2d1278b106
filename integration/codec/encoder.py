"""libaom as an encoder whose partition search can be restricted and whose final partitions can be read."""

import ctypes
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from integration.codec import native
from integration.codec.config import CHROMAS, NODE_SIZES, TUNES, USAGES, Colour, EncoderConfig, EncoderSettings
from integration.codec.encoded_frame import EncodedFrame, read_frame
from integration.codec.hdr import Hdr
from integration.codec.libaom_build import libraries
from integration.codec.masks import Mask, Masks, MaskSource, by_node_size, check_masks
from toolkit.data.blockset import Luma, check_luma
from toolkit.errors import ToolkitError
from toolkit.partition import NODE
from toolkit.pruners.record import ROW, ROWS
from toolkit.search.table import DECISIONS, FRAME_KINDS, IN_KEY_FRAMES, SIDES, Feature

__all__ = ["EncodedFrame", "Encoder", "EncoderConfig", "EncoderSettings", "Mask", "MaskSource", "Masks"]

LARGEST_SIDE = 1 << 16
"""Largest side at which AV1 can say that a frame is shown."""
TICKS = 10_000_000
"""Units of time in a second (AV1PART_TICKS)."""


def display_size(width: int, height: int, aspect: Fraction) -> tuple[int, int]:
    """The size near the frame's own that has exactly the sides of frames with such samples, where AV1 can say it."""
    sides = Fraction(width, height) * aspect
    times = max(1, round(width / sides.numerator))
    exact = sides.numerator * times, sides.denominator * times
    return exact if max(exact) <= LARGEST_SIDE else (round(width * aspect), height)


def _of_key_frames(rows: NDArray[Any]) -> NDArray[Any]:
    """Rows as the C interface hands them over, without the features of inter frames."""
    found = np.zeros(len(rows), ROW)
    for name in ROW.names or ():
        found[name] = rows[name][:, IN_KEY_FRAMES] if name == "features" else rows[name]
    return found


class Encoder:
    """One libaom encoder, a context manager, to be used by one thread at a time.

    `mask_source` is asked at the start of every intra frame, with the luma that libaom codes and the frame's true
    qindex. If it raises, or returns anything but masks of the right shapes, the frame is encoded unmasked and its
    `mask_error` gives the reason. `mask_seconds` is the time spent in it by `clock`, which counts the process's CPU
    seconds by default. `library` is the one with the hook by default. Raises ToolkitError for settings that libaom or
    the interface refuses.
    """

    def __init__(
        self,
        config: EncoderConfig,
        mask_source: MaskSource | None = None,
        library: Path | None = None,
        clock: Callable[[], float] = time.process_time,
    ) -> None:
        for name, known in (("usage", USAGES), ("tune", TUNES)):
            if (given := getattr(config, name)) not in known:
                raise ToolkitError(f"{name.capitalize()} {given!r}: expected one of {', '.join(known)}.")
        self.config = config
        self.mask_source = mask_source
        self.clock = clock
        self.mask_seconds = 0.0
        self.failed_masks = 0
        self._cost_nodes: tuple[int, ...] = ()
        self._kind = FRAME_KINDS[0]
        self._has_labels = library is None or "hook" in library.name
        self._library = native.load(library or libraries().hook)
        self._handle = ctypes.c_void_p()
        self._mask_error: str | None = None
        self._interrupt: BaseException | None = None
        values = {k: v for k, v in asdict(config).items() if k not in ("usage", "tune")}
        settings = native.Config(
            struct_size=ctypes.sizeof(native.Config),
            all_intra=USAGES.index(config.usage),
            tune=TUNES[config.tune],
            **values,
        )
        detail = ctypes.create_string_buffer(256)
        status = self._library.av1part_open(ctypes.byref(settings), ctypes.byref(self._handle), detail, 256)
        if status == native.FULL:
            raise ToolkitError(f"Encoder: {native.MAX_ENCODERS} are open in this process already. Close one first.")
        if status:
            raise ToolkitError(f"Encoder: {native.explain(self._library, status, detail.value)}. Given: {config}.")
        self._callback = native.MaskCallback(self._answer)  # kept alive as long as the encoder
        if mask_source is not None:
            self._check(self._library.av1part_set_mask_callback(self._handle, self._callback, None))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Free libaom's memory; a second call does nothing."""
        if self._handle:
            self._library.av1part_close(self._handle)
            self._handle = ctypes.c_void_p()

    @property
    def version(self) -> str:
        """Version of libaom, such as 3.14.1."""
        return native.libaom_version(self._library)

    def set_colour(self, colour: Colour) -> None:
        """Describe the colour in the sequence header; ToolkitError after the first frame, or on numbers AV1 lacks."""
        values = (colour.primaries, colour.transfer, colour.matrix, int(colour.full_range))
        self._check(self._library.av1part_set_colour(self._handle, *values))

    def set_chroma_position(self, position: int) -> None:
        """Say where chroma samples lie, by AV1's number, as CHROMA_LEFT; ToolkitError after the first frame."""
        self._check(self._library.av1part_set_chroma_position(self._handle, position))

    def set_aspect(self, aspect: Fraction) -> None:
        """Say that samples are `aspect` times as wide as high, by the size at which frames are to be shown.

        Raises ToolkitError after the first frame, or where the picture would be absurdly narrow or flat.
        """
        width, height = display_size(self.config.width, self.config.height, aspect)
        self._check(self._library.av1part_set_render_size(self._handle, width, height))

    def set_hdr(self, hdr: Hdr) -> None:
        """Put HDR metadata OBUs before every key frame; ToolkitError after the first frame, or at a second call."""
        for kind, data in hdr.payloads().items():
            self._check(self._library.av1part_add_metadata(self._handle, kind, data, len(data)))

    def disable_cnn(self) -> None:
        """Switch off libaom's own CNN, which prunes partitions of intra frames from cpu-used 1 on."""
        self._check(self._library.av1part_disable_cnn(self._handle, 1))

    def log_costs(self, *node_sizes: int) -> None:
        """Add to each frame the RD cost and CPU time of every partition that libaom tried at a node.

        `node_sizes` are of NODE_SIZES, by default 16 alone. SPLIT is the sum of a node's four quarters and all below
        them. Raises ToolkitError for another size, or with a library that has no hook.
        """
        if not self._has_labels:
            raise ToolkitError("Encoder: libaom without the hook logs no costs. Leave `library` at its default.")
        chosen = node_sizes or (NODE,)
        for size in chosen:  # 0 would switch logging off again
            if size not in NODE_SIZES:
                sizes = ", ".join(map(str, NODE_SIZES))
                raise ToolkitError(f"Encoder: costs of nodes of size {size!r}, expected one of {sizes}.")
        self._check(self._library.av1part_log_costs(self._handle, sum(set(chosen))))
        self._cost_nodes = tuple(sorted(set(chosen)))

    def record_search(self, share: float = 1.0, seed: int = 0) -> None:
        """Record what is known during the search of squares, and what came of it (`search_rows`).

        `share`: of the superblocks, 0 to 1, drawn by `seed`; 0 stops the record. Raises ToolkitError on another share,
        with several threads, or with a library that has no hook.
        """
        self._check_hook("records no search")
        self._check(self._library.av1part_record_search(self._handle, share, seed))

    def search_frames(self, kind: str) -> None:
        """Choose the frames whose search is recorded, and that the next pruner is for: `key` or `inter`.

        At first these are `key`, all intra frames. Raises ToolkitError for `inter` where every frame is a key frame, or
        with a library that has no hook.
        """
        self._check_hook("records no search")
        self._check(self._library.av1part_search_inter(self._handle, FRAME_KINDS.index(kind)))
        self._kind = kind

    def search_rows(self) -> NDArray[Any]:
        """Record of the search of the last packet's frames, a parent before its quarters.

        The dtype is that of ROWS for the kind of frames that `search_frames` chose.
        """
        rows, count = ctypes.c_void_p(), ctypes.c_size_t()
        self._check(self._library.av1part_search_rows(self._handle, ctypes.byref(rows), ctypes.byref(count)))
        size = count.value * ROWS["inter"].itemsize
        found = np.frombuffer(ctypes.string_at(rows, size) if size else b"", ROWS["inter"])
        return found if self._kind == "inter" else _of_key_frames(found)

    def features(self) -> tuple[Feature, ...]:
        """Features that this encoder's hook records and decides by in frames of the kind that `search_frames` chose.

        Raises ToolkitError with a library that has no hook.
        """
        self._check_hook("has no features")
        return native.feature_table(self._library, self._kind)

    def hook(self) -> ctypes.CDLL:
        """The library that decides inside the search; ToolkitError with one that has no hook."""
        self._check_hook("decides nothing")
        return self._library

    def set_pruner(self, pruner: bytes, price: float, most: float) -> None:
        """Prune inside the search of the frames that `search_frames` says; an encoder holds a pruner for each kind.

        A decision skips where the predicted loss is below `price` times the predicted time, and below `most`. Raises
        ToolkitError on bytes that are no pruner for this hook, or a price or `most` that is not above 0.
        """
        self._check_hook("has no pruner")
        self._check(self._library.av1part_set_pruner(self._handle, pruner, len(pruner), price, most))

    def override_feature(self, name: str, value: int) -> None:
        """Override a speed feature of libaom, by its name in `libaom/overrides.toml`, in the frames of `search_frames`.

        Another pruner for those frames ends it. Raises ToolkitError on a name or value that is not in that list.
        """
        self._check_hook("overrides nothing")
        self._check(self._library.av1part_override_feature(self._handle, name.encode(), value))

    def decisions(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """How often the pruner was asked, and how often it skipped, since the encoder was opened.

        Both int64 (SIDES, DECISIONS) of toolkit.search.table.
        """
        counts = np.zeros((2, len(SIDES), len(DECISIONS)), np.int64)
        self._check(self._library.av1part_decisions(self._handle, counts.ctypes.data))
        return counts[0], counts[1]

    def _check_hook(self, without: str) -> None:
        if not self._has_labels:
            raise ToolkitError(f"Encoder: libaom without the hook {without}. Leave `library` at its default.")

    def encode(self, planes: Sequence[Luma], mask: Mask | Masks | None = None) -> EncodedFrame:
        """Encode planes (y, u, v; y alone where monochrome), uint8 or uint16 according to the bit depth.

        `mask` replaces the mask source's answer: a mapping holds masks by node size, a mask alone is for 16x16 nodes.
        Raises ToolkitError on a wrong shape, dtype or range of planes or mask, with lag, or where libaom fails.
        """
        if self.config.lag:
            raise ToolkitError("Encoder: with lag, frames come later than they are given; use feed and flush.")
        frame = self.feed(planes, mask)
        assert frame is not None
        return frame

    def feed(
        self, planes: Sequence[Luma], mask: Mask | Masks | None = None, span: tuple[Fraction, Fraction] | None = None
    ) -> EncodedFrame | None:
        """Give a frame, as to `encode`, and return the next one that is ready; with lag, None at first.

        `span`: its start and end in seconds, by which libaom knows the frame rate. Without it frames come 30 a second.
        """
        arrays = [self._plane(index, plane) for index, plane in enumerate(planes)]
        if len(arrays) != (count := self.config.planes):
            chroma = CHROMAS[self.config.chroma]
            raise ToolkitError(f"Encoder: {len(arrays)} planes, expected {count} (those of {chroma}).")
        masks = {} if mask is None else by_node_size(mask)
        check_masks(masks, self.config.grids)
        masks = {size: np.ascontiguousarray(given) for size, given in masks.items()}
        pointers = (ctypes.c_void_p * 3)(*(a.ctypes.data for a in arrays))
        strides = (ctypes.c_size_t * 3)(*(a.shape[1] * a.itemsize for a in arrays))
        native_masks = None if mask is None else native.masks_of(masks)
        if span is not None:
            start, end = (int(time * TICKS) for time in span)
            self._check(self._library.av1part_set_time(self._handle, start, end - start))
        return self._run(self._library.av1part_encode, pointers, strides, native_masks, given=mask is not None)

    def flush(self) -> Iterator[EncodedFrame]:
        """Yield the frames that libaom still holds with lag; afterwards no frame may be given."""
        while True:
            frame = self._run(self._library.av1part_flush)
            if frame is None:
                return
            yield frame

    def _run(self, function: Callable[..., int], *arguments: Any, given: bool = False) -> EncodedFrame | None:
        """Call libaom and read the frame that is ready, if there is one; `given`: the caller passed masks."""
        if not self._handle:
            raise ToolkitError("Encoder: closed already.")
        self._mask_error = self._interrupt = None
        result = native.Result()
        status = function(self._handle, *arguments, ctypes.byref(result))
        if self._interrupt is not None:
            raise self._interrupt
        self._check(status)
        if not result.data:
            return None
        self.failed_masks += bool(result.mask_failed)
        return read_frame(
            self._library,
            self._handle,
            self.config,
            result,
            has_labels=self._has_labels,
            cost_nodes=self._cost_nodes,
            mask_given=given or self.mask_source is not None,
            mask_error=self._mask_error,
        )

    def _check(self, status: int) -> None:
        native.check(self._library, self._handle, status)

    def _plane(self, index: int, plane: Luma) -> Luma:
        check_luma(plane, self.config.bit_depth, f"Encoder, plane {index}")
        if plane.shape != self.config.plane_shape(min(index, 1)):
            expected = self.config.plane_shape(min(index, 1))
            raise ToolkitError(f"Encoder: plane {index} has shape {plane.shape}, expected {expected}.")
        return plane if plane.flags.c_contiguous else plane.copy()

    def _answer(self, user: Any, source: Any, targets: Any) -> int:
        """Answer the C callback: 0 with the masks written to `targets`, 1 for none. No exception may leave it."""
        before = self.clock()
        try:
            assert self.mask_source is not None
            frame = source.contents
            kind = ctypes.c_uint8 if frame.bit_depth == 8 else ctypes.c_uint16
            memory = ctypes.cast(frame.luma, ctypes.POINTER(kind))
            luma = np.ctypeslib.as_array(memory, (frame.height, frame.stride))[:, : frame.width].copy()
            mask = self.mask_source(luma, frame.qindex)
            if mask is None:
                self._mask_error = "the mask source gave none"
                return 1
            masks = by_node_size(mask)
            check_masks(masks, self.config.grids)
            for index, size in enumerate(NODE_SIZES):
                if size in masks:
                    np.ctypeslib.as_array(targets[index].allowed, self.config.grid(size))[:] = masks[size]
        except Exception as error:
            self._mask_error = f"{type(error).__name__}: {error}"
            return 1
        except BaseException as error:  # an interrupt waits until libaom has finished the frame
            self._interrupt = error
            return 1
        finally:
            self.mask_seconds += self.clock() - before
        return 0
