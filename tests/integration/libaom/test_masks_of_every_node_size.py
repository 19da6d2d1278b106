"""Masks and labels of nodes of every size, alone and together."""

import ctypes
from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from support.pictures import frame, smooth_frame

from integration.codec import native
from integration.codec.config import NODE_SIZES
from integration.codec.encoder import EncodedFrame, Encoder, EncoderConfig, Mask, Masks
from integration.codec.inspector import inspect_packets
from integration.codec.libaom_build import Libraries
from toolkit.errors import ToolkitError
from toolkit.partition import (
    HORZ,
    HORZ_4,
    HORZ_A,
    HORZ_B,
    INSIDE_LARGER,
    NONE,
    SPLIT,
    VERT,
    VERT_4,
    VERT_A,
    VERT_B,
    partitions_of,
)

FREE = 0x3FF


def encode(config: EncoderConfig, mask: Masks | None = None, *, cnn: bool = True, **options: object) -> EncodedFrame:
    with Encoder(config, **options) as encoder:
        if not cnn:
            encoder.disable_cnn()
        return encoder.encode(frame(config.width, config.height, config.bit_depth, 20, 20), mask)


def full(config: EncoderConfig, bits: int, node_size: int = 32) -> Mask:
    return np.full(config.grid(node_size), bits, np.uint16)


def random_masks(config: EncoderConfig, seed: int) -> Masks:
    rng = np.random.default_rng(seed)
    return {size: rng.integers(0, 1 << 10, config.grid(size)).astype(np.uint16) for size in (16, 32)}


def assert_labels_are_decoded(result: EncodedFrame, config: EncoderConfig) -> None:
    for size, ours in result.labels.items():
        assert ours.shape == config.grid(size)
        ((labels, qindex),) = inspect_packets([result.data], config.width, config.height, size)
        np.testing.assert_array_equal(ours, labels)
        assert result.qindex == qindex


@pytest.mark.usefixtures("libaom")
@pytest.mark.parametrize(
    "config",
    [
        EncoderConfig(416, 256, cq=20),
        EncoderConfig(416, 256, cq=40, cpu_used=0),
        EncoderConfig(401, 235, 10, cq=30, cpu_used=2, threads=2),
        EncoderConfig(330, 270, 10, cq=35, usage="allintra"),
        EncoderConfig(370, 231, cq=30, cpu_used=4),
    ],
)
def test_labels_of_both_sizes_are_what_an_independent_decode_shows(config: EncoderConfig) -> None:
    result = encode(config)
    assert_labels_are_decoded(result, config)
    found = result.labels[32]
    assert len(np.unique(found)) >= 7, "too few kinds of partition to mean anything"
    whole = np.zeros(found.shape, bool)
    whole[: config.height // 32, : config.width // 32] = True
    assert (found[~whole] == INSIDE_LARGER).all()
    # What the two sizes say of one node agrees.
    rows, columns = config.height // 32, config.width // 32
    quarters = result.labels[16][: 2 * rows, : 2 * columns].reshape(rows, 2, columns, 2)
    quarters, found = quarters.swapaxes(1, 2).reshape(rows, columns, 4), found[:rows, :columns]
    assert (quarters[found == SPLIT] != INSIDE_LARGER).all()
    assert (quarters[np.isin(found, (NONE, HORZ, VERT, INSIDE_LARGER))] == INSIDE_LARGER).all()
    squares = {HORZ_A: (0, 1), HORZ_B: (2, 3), VERT_A: (0, 2), VERT_B: (1, 3)}
    for partition, own in squares.items():
        expected = np.where(np.isin(np.arange(4), own), NONE, INSIDE_LARGER)
        assert (quarters[found == partition] == expected).all()


@pytest.mark.usefixtures("libaom")
@pytest.mark.parametrize(("width", "height"), [(32, 32), (31, 64), (17, 33), (1, 1)])
def test_small_frames_have_labels_of_both_sizes(width: int, height: int) -> None:
    config = EncoderConfig(width, height, cq=20)
    result = encode(config, random_masks(config, 1))
    assert_labels_are_decoded(result, config)
    assert (result.labels[32] != INSIDE_LARGER).any() == (width == height == 32)


CONFIGS = [
    EncoderConfig(320, 224, cq=20),
    EncoderConfig(310, 230, 10, cq=30, cpu_used=0),
    EncoderConfig(320, 224, cq=40, cpu_used=4, threads=2),
]


@pytest.mark.usefixtures("libaom")
@pytest.mark.parametrize("config", CONFIGS)
def test_where_split_is_forbidden_nothing_is_split(config: EncoderConfig) -> None:
    masks = {32: full(config, FREE & ~(1 << SPLIT))}
    # libaom's CNN leaves some nodes SPLIT alone: those it keeps.
    result = encode(config, masks)
    assert (result.labels[32] == SPLIT).sum() <= result.kept_nodes
    assert_labels_are_decoded(result, config)
    assert (encode(config, cnn=False).labels[32] == SPLIT).sum() >= 5
    result = encode(config, masks, cnn=False)
    assert (result.labels[32] == SPLIT).sum() == result.kept_nodes == 0
    assert result.masked_nodes >= 30


@pytest.mark.usefixtures("libaom")
@pytest.mark.parametrize("config", CONFIGS)
def test_where_split_alone_is_allowed_everything_is_split_or_inside_larger(config: EncoderConfig) -> None:
    free = encode(config)
    assert np.isin(free.labels[32], (NONE, HORZ, VERT)).sum() >= 5
    result = encode(config, {32: full(config, 1 << SPLIT)})
    others = (result.labels[32] != SPLIT) & (result.labels[32] != INSIDE_LARGER)
    # Where a 64x64 square is an AB, two 32x32 squares are its own.
    assert np.isin(result.labels[32][others], NONE).all()
    assert others.sum() <= result.kept_nodes + 2
    assert (result.labels[32] == SPLIT).sum() > (free.labels[32] == SPLIT).sum()
    assert result.masked_nodes >= 30


ALLOWED_BY = {HORZ: (HORZ, HORZ_A, HORZ_B, HORZ_4), VERT: (VERT, VERT_A, VERT_B, VERT_4)}


@pytest.mark.usefixtures("libaom")
@pytest.mark.parametrize("config", CONFIGS)
def test_masks_of_both_sizes_forbid_what_they_leave_out_and_leave_a_legal_stream(config: EncoderConfig) -> None:
    masks = random_masks(config, 3)
    result = encode(config, masks)
    assert_labels_are_decoded(result, config)
    for mask, labels, least in ((masks[16], result.labels[16], 20), (masks[32], result.labels[32], 15)):
        decided = (labels != INSIDE_LARGER) & (labels != NONE) & (mask != 0)
        broken = [
            (int(label), int(bits))
            for label, bits in zip(labels[decided], mask[decided], strict=True)
            if not any(bits >> k & 1 for k in ALLOWED_BY.get(int(label), (int(label),)))
        ]
        assert decided.sum() >= least
        assert len(broken) <= result.kept_nodes, broken
    one, other = (encode(config, {size: masks[size]}) for size in (16, 32))
    assert len({r.data for r in (result, one, other)}) == 3
    assert min(one.masked_nodes, other.masked_nodes) > 0


@pytest.mark.parametrize("threads", [1, 2])
def test_masks_that_restrict_nothing_leave_stock_libaoms_stream(libaom: Libraries, threads: int) -> None:
    config = EncoderConfig(130, 100, cq=20, threads=threads)
    stock = encode(config, library=libaom.stock)
    assert (stock.labels[32] == INSIDE_LARGER).all(), "no hook, no labels"
    for bits in (0, FREE):
        for sizes in ((8,), (16,), (32,), (64,), (16, 32), NODE_SIZES, ()):
            result = encode(config, {size: full(config, bits, size) for size in sizes})
            assert (result.data, result.masked_nodes, result.kept_nodes) == (stock.data, 0, 0)
            assert result.masked


@pytest.mark.usefixtures("libaom")
def test_a_partition_that_libaom_does_not_search_keeps_its_own_choice_and_is_counted() -> None:
    config = EncoderConfig(150, 112, cq=20, four_way=False)
    plain = encode(config)
    for masks, kept in (({32: full(config, 1 << 8)}, 4 * 3), ({s: full(config, 1 << 9, s) for s in (16, 32)}, 75)):
        result = encode(config, masks)
        assert result.data == plain.data
        assert (result.masked_nodes, result.kept_nodes) == (0, kept)


CONFIGS = {
    8: EncoderConfig(144, 112, cq=12),
    64: EncoderConfig(256, 256, cq=52, cpu_used=0),
    128: EncoderConfig(256, 256, cq=58, cpu_used=0),
}
"""Encodes in which libaom chooses several partitions at nodes of each size."""


@cache
def encode_at(size: int, bits: int | None = None) -> EncodedFrame:
    """A frame in which libaom decides about nodes of that size, under one mask at all of them, without its CNN."""
    config = CONFIGS[size]
    planes = (frame if size == 8 else smooth_frame)(config.width, config.height)
    with Encoder(config) as encoder:
        encoder.disable_cnn()
        result = encoder.encode(planes, None if bits is None else {size: full(config, bits, size)})
    assert_labels_are_decoded(result, config)
    return result


@pytest.mark.usefixtures("libaom")
@pytest.mark.parametrize("size", [8, 64, 128])
def test_labels_of_the_smallest_and_largest_nodes_agree_with_those_around_them(size: int) -> None:
    result = encode_at(size)
    assert result.superblock == (64 if size == 8 else 128)
    found = result.labels[size]
    assert set(np.unique(found)) <= {*partitions_of(size), INSIDE_LARGER}
    assert len(np.unique(found[found != INSIDE_LARGER])) >= {8: 4, 64: 3, 128: 2}[size]
    if size < 128:
        around = result.labels[2 * size].repeat(2, 0).repeat(2, 1)[: found.shape[0], : found.shape[1]]
        assert (found[around == SPLIT] != INSIDE_LARGER).all()
        assert (found[np.isin(around, (NONE, HORZ, VERT, HORZ_4, VERT_4))] == INSIDE_LARGER).all()


@pytest.mark.usefixtures("libaom")
@pytest.mark.parametrize(("size", "gone"), [(8, HORZ), (8, VERT), (8, SPLIT), (64, SPLIT), (64, NONE), (128, SPLIT)])
def test_what_one_bit_forbids_is_gone_and_nothing_else(size: int, gone: int) -> None:
    """At 8x8 nodes HORZ goes although bits of HORZ_A, HORZ_B and HORZ_4 are set: such nodes do not have them."""
    free, result = encode_at(size), encode_at(size, FREE & ~(1 << gone))
    assert (free.labels[size] == gone).any()
    others = [k for k in partitions_of(size) if k != gone and (free.labels[size] == k).any()]
    assert result.masked_nodes > 0
    assert result.kept_nodes == 0
    assert not (result.labels[size] == gone).any()
    assert sum((result.labels[size] == k).any() for k in others) >= len(others) / 2


@pytest.mark.usefixtures("libaom")
@pytest.mark.parametrize("size", [8, 64, 128])
def test_forbidding_what_libaom_never_tried_leaves_the_stream_as_it_is(size: int) -> None:
    """Of 8x8 nodes everything that was not tried, of larger ones their ABs and 4-way partitions."""
    config = CONFIGS[size]
    planes = (frame if size == 8 else smooth_frame)(config.width, config.height)
    with Encoder(config) as encoder:
        encoder.log_costs(size)
        free = encoder.encode(planes)
        untried = np.isnan(free.costs[size]["rd"]) & np.isin(np.arange(10), range(0 if size == 8 else HORZ_A, 10))
        masks = (FREE - (untried << np.arange(10)).sum(-1)).astype(np.uint16)
    with Encoder(config) as encoder:
        result = encoder.encode(planes, {size: np.where(masks, masks, FREE).astype(np.uint16)})
    assert untried.any()
    assert result.data == free.data


@pytest.mark.usefixtures("libaom")
@pytest.mark.parametrize("size", [8, 64, 128])
def test_bits_of_partitions_that_a_node_cannot_have_mean_nothing(size: int) -> None:
    free, possible = encode_at(size), sum(1 << k for k in partitions_of(size))
    for bits in {FREE, possible, 0}:
        result = encode_at(size, bits)
        assert (result.data, result.masked_nodes, result.kept_nodes) == (free.data, 0, 0)
    if possible != FREE:
        result = encode_at(size, FREE & ~possible)
        assert (result.data, result.masked_nodes) == (free.data, 0), "nothing would be left: libaom's own choice stays"
        assert result.kept_nodes > 0


@pytest.mark.usefixtures("libaom")
@pytest.mark.parametrize("usage", ["good", "allintra"])
@pytest.mark.parametrize("cpu_used", [1, 3, 6])
def test_random_masks_of_all_sizes_leave_a_legal_stream(usage: str, cpu_used: int) -> None:
    config = EncoderConfig(138, 74, cq=30, cpu_used=cpu_used, usage=usage, threads=2)
    rng = np.random.default_rng(cpu_used)
    masks = {size: rng.integers(0, FREE + 1, config.grid(size)).astype(np.uint16) for size in NODE_SIZES}
    result = encode(config, masks)
    assert_labels_are_decoded(result, config)
    assert result.masked_nodes > 0


@pytest.mark.usefixtures("libaom")
def test_a_node_larger_than_the_superblock_is_none() -> None:
    config = EncoderConfig(256, 128, cq=40)
    result = encode(config, {128: full(config, 1 << NONE, 128)})
    assert result.superblock == 64
    assert (result.labels[128] == INSIDE_LARGER).all()
    assert (result.masked_nodes, result.kept_nodes) == (0, 0)
    assert result.data == encode(config).data
    assert_labels_are_decoded(result, config)


@pytest.mark.usefixtures("libaom")
@pytest.mark.parametrize("bit_depth", [8, 10])
def test_a_mask_source_may_give_either_size(bit_depth: int) -> None:
    config = EncoderConfig(150, 112, bit_depth, cq=20, threads=2)
    masks = random_masks(config, 5)
    for given in (masks, {16: masks[16]}, {32: masks[32]}, {}):
        result = encode(config, mask_source=source_of(given))
        assert result.mask_error is None
        assert result.data == encode(config, given).data
    assert encode(config, mask_source=source_of(masks[16])).data == encode(config, {16: masks[16]}).data


def source_of(masks: Mask | Masks) -> Callable[[np.ndarray, int], Mask | Masks]:
    return lambda luma, qindex: masks


@pytest.mark.usefixtures("libaom")
def test_a_mask_does_not_outlive_its_frame() -> None:
    config = EncoderConfig(150, 112, cq=20)
    planes = frame(150, 112)
    masks = random_masks(config, 6)
    with Encoder(config) as encoder:
        free = encoder.encode(planes)
        assert encoder.encode(planes, masks).masked_nodes
        assert encoder.encode(planes, {16: masks[16]}).data == encoder.encode(planes, masks[16]).data
        assert encoder.encode(planes, {32: full(config, 0)}).data == free.data
        assert encoder.encode(planes).data == free.data


@pytest.mark.usefixtures("libaom")
def test_what_a_mask_source_leaves_out_is_free_again() -> None:
    config = EncoderConfig(150, 112, cq=20)
    planes = frame(150, 112)
    masks = random_masks(config, 7)
    answers = [masks, {16: masks[16]}, {32: masks[32]}, {}]
    rest = iter(answers)
    with Encoder(config, lambda luma, qindex: next(rest)) as encoder:
        coded = [encoder.encode(planes).data for _ in answers]
    with Encoder(config) as encoder:
        assert coded == [encoder.encode(planes, masks).data for masks in answers]
    assert len(set(coded)) == 4


def test_the_c_interface_refuses_grids_and_sizes_that_are_not_the_frames(libaom: Libraries) -> None:
    config = EncoderConfig(64, 48)
    bits = np.zeros(12, np.uint16)
    pointer = bits.ctypes.data_as(ctypes.POINTER(ctypes.c_uint16))
    with Encoder(config) as encoder:
        library, handle = encoder._library, encoder._handle
        y, u, v = (np.ascontiguousarray(plane) for plane in frame(64, 48))
        planes = (ctypes.c_void_p * 3)(*(p.ctypes.data for p in (y, u, v)))
        strides = (ctypes.c_size_t * 3)(64, 32, 32)

        def status(*entries: tuple[object, int, int]) -> int:
            masks = (native.Mask * len(NODE_SIZES))((None, 0, 0), *entries)
            return int(library.av1part_encode(handle, planes, strides, masks, ctypes.byref(native.Result())))

        assert status((pointer, 3, 4), (pointer, 3, 4)) == -6
        assert status((pointer, 2, 2), (pointer, 2, 2)) == -6
        assert status((None, 7, 7), (pointer, 2, 2)) == 0, "NULL: rows and columns are not read"
        assert status((pointer, 3, 4), (None, 0, 0)) == 0
        target = np.zeros(12, np.uint8).ctypes.data
        assert library.av1part_labels(handle, 16, target, 3, 4) == library.av1part_labels(handle, 32, target, 2, 2) == 0
        assert library.av1part_labels(handle, 32, target, 3, 4) == -6
        assert library.av1part_labels(handle, 24, target, 2, 3) == -1
        packet = encoder.encode((y, u, v)).data
    for size, message in ((24, "outside its range"), (0x7FFFFFFF, "outside its range")):
        with pytest.raises(ToolkitError, match=message):
            list(inspect_packets([packet], 64, 48, size))
