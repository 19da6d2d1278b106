"""The hook inside libaom: silent without a mask, exact labels, and never a stream that does not decode."""

import ctypes
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
from support.decoding import assert_decodes, decode
from support.pictures import frame

from integration.codec import native
from integration.codec.encoded_frame import read_labels, read_reconstruction
from integration.codec.encoder import EncodedFrame, Encoder, EncoderConfig
from integration.codec.inspector import inspect_packets
from integration.codec.libaom_build import Libraries
from integration.media.planes import Planes
from toolkit.errors import ToolkitError
from toolkit.partition import HORZ, HORZ_4, HORZ_A, HORZ_B, INSIDE_LARGER, NONE, SPLIT, VERT, VERT_4, VERT_A, VERT_B

SIZES = [(16, 16), (17, 33), (130, 70), (1, 1)]


def encode(config: EncoderConfig, mask: np.ndarray | None = None, **options: object) -> EncodedFrame:
    with Encoder(config, **options) as encoder:
        return encoder.encode(frame(config.width, config.height, config.bit_depth), mask)


def random_mask(config: EncoderConfig, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 1 << 10, config.grid(16)).astype(np.uint16)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("bit_depth", [8, 10])
@pytest.mark.parametrize(("width", "height"), [*SIZES, (192, 144)])
def test_without_a_mask_the_stream_is_stock_libaoms(
    libaom: Libraries, width: int, height: int, bit_depth: int, threads: int
) -> None:
    config = EncoderConfig(width, height, bit_depth, cq=25, threads=threads)
    assert encode(config).data == encode(config, library=libaom.stock).data


@pytest.mark.parametrize("four_way", [False, True])
@pytest.mark.parametrize("usage", ["good", "allintra"])
@pytest.mark.parametrize("bit_depth", [8, 10])
def test_labels_are_what_an_independent_decode_shows(
    libaom: Libraries, bit_depth: int, usage: str, four_way: bool
) -> None:
    config = EncoderConfig(208, 150, bit_depth, cq=20, usage=usage, four_way=four_way)
    result = encode(config)
    assert np.isin([HORZ_4, VERT_4], result.labels[16]).all() == four_way
    ((labels, qindex),) = inspect_packets([result.data], config.width, config.height)
    np.testing.assert_array_equal(result.labels[16], labels)
    assert result.qindex == qindex
    assert len(np.unique(result.labels[16])) >= 7, "too few kinds of partition to mean anything"
    assert (result.labels[16][-1] == INSIDE_LARGER).all(), "150 lines: the last row of nodes is cut by the edge"


@pytest.mark.parametrize(("width", "height"), [*SIZES, (144, 112)])
@pytest.mark.parametrize(("bit_depth", "threads", "cpu_used"), [(8, 1, 1), (10, 2, 1), (8, 2, 4), (10, 1, 0)])
def test_random_masks_decode_exactly(
    libaom: Libraries, width: int, height: int, bit_depth: int, threads: int, cpu_used: int
) -> None:
    config = EncoderConfig(width, height, bit_depth, cq=20, threads=threads, cpu_used=cpu_used)
    result = encode(config, random_mask(config, seed=width + threads))
    assert_decodes(result, config)
    ((labels, _),) = inspect_packets([result.data], width, height)
    np.testing.assert_array_equal(result.labels[16], labels)


ALLOWED_BY = {
    HORZ: (HORZ, HORZ_A, HORZ_B, HORZ_4),  # libaom searches these only beside the rectangle of their direction
    VERT: (VERT, VERT_A, VERT_B, VERT_4),
}


@pytest.mark.parametrize("seed", [1, 2])
def test_a_mask_forbids_what_it_leaves_out(libaom: Libraries, seed: int) -> None:
    config = EncoderConfig(208, 144, cq=20)
    mask = random_mask(config, seed)
    result = encode(config, mask)
    decided = (result.labels[16] != INSIDE_LARGER) & (result.labels[16] != NONE) & (mask != 0)
    broken = [
        (int(label), int(bits))
        for label, bits in zip(result.labels[16][decided], mask[decided], strict=True)
        if not any(bits >> k & 1 for k in ALLOWED_BY.get(int(label), (int(label),)))
    ]
    assert decided.sum() > 40
    assert result.masked_nodes > 40
    assert len(broken) <= result.kept_nodes, broken


@pytest.mark.parametrize("allowed", [NONE, SPLIT, HORZ, VERT, HORZ_A, VERT_B, 8])
def test_one_allowed_partition_leaves_a_legal_choice(libaom: Libraries, allowed: int) -> None:
    config = EncoderConfig(144, 112, cq=20, four_way=False)
    result = encode(config, np.full(config.grid(16), 1 << allowed, np.uint16))
    assert_decodes(result, config)
    if allowed == 8:  # 4-way partitions are off: nothing would be left, so libaom's own choice stays
        assert result.data == encode(config).data
        assert (result.masked_nodes, result.kept_nodes) == (0, 63)
    else:
        assert result.masked_nodes > 0
        assert np.isin(allowed, result.labels[16]) or allowed in (HORZ_A, VERT_B)


FOUR_WAY = EncoderConfig(208, 144, cq=20, four_way=True)


@pytest.mark.parametrize("cpu_used", [0, 1])
@pytest.mark.parametrize("gone", [(HORZ_4,), (VERT_4,), (HORZ_4, VERT_4)])
def test_a_mask_forbids_4_way_partitions_and_nothing_beside(
    libaom: Libraries, gone: tuple[int, ...], cpu_used: int
) -> None:
    config = replace(FOUR_WAY, cpu_used=cpu_used)
    before = encode(config).labels
    for node in (16, 32):
        mask = np.full(config.grid(node), 0x3FF - sum(1 << k for k in gone), np.uint16)
        with Encoder(config) as encoder:
            result = encoder.encode(frame(208, 144), {node: mask})
        assert_decodes(result, config)
        assert result.masked_nodes > 0
        assert not np.isin(result.labels[node], gone).any()
        kept = np.setdiff1d([HORZ_4, VERT_4], gone)
        if node == 16:
            assert np.isin(before[node], gone).any()
            assert np.isin(kept, result.labels[node]).all()


def test_a_4_way_partition_alone_is_searched_with_its_rectangle(libaom: Libraries) -> None:
    mask = np.full(FOUR_WAY.grid(16), 1 << HORZ_4, np.uint16)
    result = encode(FOUR_WAY, mask)
    assert_decodes(result, FOUR_WAY)
    assert (result.labels[16] == HORZ_4).sum() > (encode(FOUR_WAY).labels[16] == HORZ_4).sum()
    decided = result.labels[16][result.labels[16] != INSIDE_LARGER]
    assert np.isin(decided, (HORZ, HORZ_4)).mean() > 0.9


@pytest.mark.parametrize("bit_depth", [8, 10])
def test_random_masks_over_4_way_partitions_decode_exactly(libaom: Libraries, bit_depth: int) -> None:
    config = replace(FOUR_WAY, bit_depth=bit_depth, threads=bit_depth // 5)
    mask = random_mask(config, bit_depth)
    result = encode(config, mask)
    assert_decodes(result, config)
    ((labels, _),) = inspect_packets([result.data], config.width, config.height)
    np.testing.assert_array_equal(result.labels[16], labels)
    chosen = result.labels[16]
    wrong = np.isin(chosen, (HORZ_4, VERT_4)) & (mask != 0) & (mask >> np.minimum(chosen, VERT_4) & 1 == 0)
    assert wrong.sum() <= result.kept_nodes


def test_a_mask_of_zeros_or_of_everything_changes_nothing(libaom: Libraries) -> None:
    config = EncoderConfig(144, 112, cq=20)
    plain = encode(config)
    for bits in (0, 0x3FF):
        masked = encode(config, np.full(config.grid(16), bits, np.uint16))
        assert (masked.data, masked.masked_nodes) == (plain.data, 0)


def test_an_oracle_mask_spares_search(libaom: Libraries) -> None:
    config = EncoderConfig(208, 144, cq=20, cpu_used=0)
    bits = np.left_shift(1, np.minimum(encode(config).labels[16], 10).astype(np.uint16)).astype(np.uint16)
    oracle = np.where(bits == 1 << 10, 0, bits).astype(np.uint16)

    def seconds(mask: np.ndarray | None) -> float:
        before = time.process_time()
        encode(config, mask)
        return time.process_time() - before

    assert min(seconds(oracle) for _ in range(2)) < 0.8 * min(seconds(None) for _ in range(2))


def test_two_encoders_interleaved_keep_their_masks_apart(libaom: Libraries) -> None:
    configs = [EncoderConfig(144, 112, cq=20), EncoderConfig(96, 80, 10, cq=35)]
    masks = [[random_mask(config, seed) for seed in range(2)] for config in configs]

    def run(index: int, encoder: Encoder, number: int) -> EncodedFrame:
        planes = frame(configs[index].width, configs[index].height, configs[index].bit_depth)
        return encoder.encode(planes, masks[index][number])

    alone = []
    for index, config in enumerate(configs):
        with Encoder(config) as encoder:
            alone.append([run(index, encoder, number).data for number in range(2)])
    with Encoder(configs[0]) as first, Encoder(configs[1]) as second:
        together = [[run(i, e, number).data for i, e in enumerate((first, second))] for number in range(2)]
    assert [list(column) for column in zip(*together, strict=True)] == alone


def test_encoders_run_at_once_in_threads(libaom: Libraries) -> None:
    configs = [EncoderConfig(144, 112, cq=20 + 5 * i, threads=1 + i % 2) for i in range(3)]
    alone = [encode(config, random_mask(config, i)).data for i, config in enumerate(configs)]
    at_once: dict[int, bytes] = {}

    def work(index: int) -> None:
        at_once[index] = encode(configs[index], random_mask(configs[index], index)).data

    threads = [threading.Thread(target=work, args=(i,)) for i in range(len(configs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [at_once[i] for i in range(len(configs))] == alone


def code_group(config: EncoderConfig, count: int, source: object = None, **options: object) -> list[EncodedFrame]:
    """A panning shot through `feed` and `flush`."""
    with Encoder(config, source, **options) as encoder:
        fed = [encoder.feed(moving(config, number)) for number in range(count)]
        return [f for f in fed if f] + list(encoder.flush())


def moving(config: EncoderConfig, number: int) -> Planes:
    return frame(config.width, config.height, config.bit_depth, left=60 + 4 * number)


GROUPS = [(0, 4, 8), (0, 30, 10), (5, 6, 8), (19, 30, 8)]


@pytest.mark.parametrize(("lag", "keyint", "bit_depth"), GROUPS)
def test_inter_frames_are_left_alone(libaom: Libraries, lag: int, keyint: int, bit_depth: int) -> None:
    config = EncoderConfig(96, 80, bit_depth, cq=30, cpu_used=4, keyint=keyint, lag=lag)
    asked: list[int] = []

    def source(luma: np.ndarray, qindex: int) -> np.ndarray:
        asked.append(qindex)
        return random_mask(config, 1)

    results = code_group(config, 9, source)
    keys = list(range(0, 9, keyint))
    assert [r.number for r in results] == list(range(9))
    assert [r.number for r in results if r.key] == keys
    assert [r.number for r in results if r.intra] == keys
    assert [r.number for r in results if r.masked_nodes] == keys
    assert [r.number for r in results if r.masked] == keys
    assert asked == [results[k].qindex for k in keys]
    hidden = [r.number for r in results if r.qindex < 0]
    assert bool(hidden) == (lag > 15), "libaom codes hidden frames where it looks far ahead, and shows them later"
    for result, planes in zip(results, decode([r.data for r in results], config), strict=True):
        for ours, theirs in zip(result.reconstruction, planes, strict=True):
            np.testing.assert_array_equal(ours, theirs)
    packets, waiting = [], b""  # the inspector wants a coded frame in every packet
    for result in results:
        waiting += result.data
        if result.number not in hidden:
            packets.append(waiting)
            waiting = b""
    coded = [r for r in results if r.number not in hidden]
    for result, (labels, qindex) in zip(coded, inspect_packets(packets, 96, 80), strict=True):
        np.testing.assert_array_equal(result.labels[16], labels)
        assert result.qindex == qindex
    assert all((results[number].labels[16] == INSIDE_LARGER).all() for number in hidden)


@pytest.mark.parametrize(("lag", "keyint", "bit_depth"), GROUPS)
def test_without_a_mask_inter_clips_are_stock_libaoms(libaom: Libraries, lag: int, keyint: int, bit_depth: int) -> None:
    config = EncoderConfig(96, 80, bit_depth, cq=30, cpu_used=4, keyint=keyint, lag=lag)
    ours, stock = code_group(config, 9), code_group(config, 9, library=libaom.stock)
    assert [r.data for r in ours] == [r.data for r in stock]


def test_with_lag_frames_come_later_and_masks_from_the_source_alone(libaom: Libraries) -> None:
    config = EncoderConfig(96, 80, cq=30, cpu_used=4, keyint=30, lag=3)
    with Encoder(config) as encoder:
        with pytest.raises(ToolkitError, match="feed and flush"):
            encoder.encode(moving(config, 0))
        with pytest.raises(ToolkitError, match="only the callback gives masks"):
            encoder.feed(moving(config, 0), random_mask(config, 1))
        assert encoder.feed(moving(config, 0)) is None
        assert [f.number for f in encoder.flush()] == [0]
        assert list(encoder.flush()) == []
        with pytest.raises(ToolkitError, match="after av1part_flush"):
            encoder.feed(moving(config, 1))


def test_a_caller_built_against_another_header_is_refused(libaom: Libraries) -> None:
    library = native.load(libaom.hook)
    config = native.Config(4, 64, 64, 8, 32, 1, 0, 1, 1)
    handle, detail = ctypes.c_void_p(), ctypes.create_string_buffer(256)
    assert library.av1part_open(ctypes.byref(config), ctypes.byref(handle), detail, 256) == -1
    assert b"struct_size" in detail.value
    assert not handle


def test_null_pointers_are_refused(libaom: Libraries) -> None:
    library = native.load(libaom.hook)
    assert library.av1part_open(None, None, None, 0) == -1
    assert library.av1part_encode(None, (ctypes.c_void_p * 3)(), (ctypes.c_size_t * 3)(), None, None) == -1
    assert library.av1part_flush(None, None) == -1
    assert library.av1part_labels(None, 16, None, 1, 1) == -1
    assert library.av1part_reconstruction(None, 0, None, 0) == -1
    assert library.av1part_inspector_open(64, 64, None) == -1
    library.av1part_close(None)


def test_nothing_to_read_before_the_first_frame(libaom: Libraries) -> None:
    with Encoder(EncoderConfig(64, 64)) as encoder:
        library, handle, config = encoder._library, encoder._handle, encoder.config
        with pytest.raises(ToolkitError, match="before a frame was encoded"):
            read_labels(library, handle, config, 16)
        with pytest.raises(ToolkitError, match="no frame has been encoded"):
            read_reconstruction(library, handle, config, 0)


def test_too_many_encoders_are_refused_and_slots_come_back(libaom: Libraries) -> None:
    config = EncoderConfig(16, 16)
    many = [Encoder(config) for _ in range(64)]
    try:
        with pytest.raises(ToolkitError, match="64 are open in this process already"):
            Encoder(config)
    finally:
        for encoder in many:
            encoder.close()
    assert encode(config).data


def test_inspecting_garbage_is_an_error(libaom: Libraries) -> None:
    packet = encode(EncoderConfig(64, 64)).data
    for bad, message in ((packet[: len(packet) // 2], "libaom"), (b"\0" * 40, "."), (b"", "null|range")):
        with pytest.raises(ToolkitError, match=message):
            list(inspect_packets([bad], 64, 64))
    with pytest.raises(ToolkitError, match="not 128x64"):
        list(inspect_packets([packet], 128, 64))


def test_presets_without_a_search_of_partitions_are_libaom_s_own_and_nothing_acts_on_them(libaom: Libraries) -> None:
    config, planes = EncoderConfig(96, 80, cq=30, cpu_used=7, usage="allintra"), frame(96, 80)
    with Encoder(config) as hooked, Encoder(config, library=libaom.stock) as stock:
        assert hooked.encode(planes).data == stock.encode(planes).data
        mask = np.full(config.grid(16), 1, np.uint16)
        with pytest.raises(ToolkitError, match="above 6 libaom searches no partitions, so nothing acts on them"):
            hooked.encode(planes, mask)
    with Encoder(replace(config, usage="good")) as fast, Encoder(replace(config, usage="good", cpu_used=6)) as six:
        masked = fast.encode(planes, mask)
        assert masked.masked_nodes
        assert masked.data == six.encode(planes, mask).data, "in GOOD usage faster presets are the sixth"
