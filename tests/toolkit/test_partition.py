from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from toolkit import partition as p
from toolkit.errors import ToolkitError

N = p.NODE
IDS = st.integers(0, 9)


def drawing(partition: int) -> np.ndarray:
    """The node with the pixels of each of its blocks numbered: what a partition looks like."""
    node = np.zeros((N, N), np.int64)
    for number, (r, c, h, w) in enumerate(p.rectangles(partition), start=1):
        assert (node[r : r + h, c : c + w] == 0).all(), "rectangles overlap"
        node[r : r + h, c : c + w] = number
    return node


def borders(node: np.ndarray) -> tuple[bytes, bytes]:
    """Where neighbouring pixels belong to different blocks: the geometry without the numbering."""
    return (np.diff(node, axis=0) != 0).tobytes(), (np.diff(node, axis=1) != 0).tobytes()


ID_OF = {borders(drawing(i)): i for i in range(10)}


@given(IDS)
def test_rectangles_tile_the_node_and_no_two_partitions_look_alike(partition: int) -> None:
    assert (drawing(partition) > 0).all()
    assert len(ID_OF) == 10


@pytest.mark.parametrize(
    ("table", "operation"),
    [(p.FLIP_LEFT_RIGHT, np.fliplr), (p.FLIP_UP_DOWN, np.flipud), (p.TRANSPOSE, np.transpose)],
)
@given(partition=IDS)
def test_tables_say_what_the_operation_does_to_the_pixels(
    table: np.ndarray, operation: Callable[[np.ndarray], np.ndarray], partition: int
) -> None:
    assert table[partition] == ID_OF[borders(operation(drawing(partition)))]


@pytest.mark.parametrize("table", [p.FLIP_LEFT_RIGHT, p.FLIP_UP_DOWN, p.TRANSPOSE])
def test_tables_undo_themselves_and_leave_inside_larger_alone(table: np.ndarray) -> None:
    assert (table[table] == np.arange(256)).all()
    assert table[p.INSIDE_LARGER] == p.INSIDE_LARGER
    with pytest.raises(ValueError, match="read-only"):
        table[0] = 1


def test_the_names_follow_the_specification() -> None:
    # Written out from the AV1 specification's table of partition values, not from the module.
    assert " ".join(p.NAMES) == "NONE HORZ VERT SPLIT HORZ_A HORZ_B VERT_A VERT_B HORZ_4 VERT_4"
    # HORZ_A: the top half is split in two squares. VERT_B: the right half is.
    assert drawing(4)[0].tolist() == [1] * 8 + [2] * 8
    assert (drawing(4)[8:] == 3).all()
    assert drawing(7)[:, 15].tolist() == [2] * 8 + [3] * 8
    assert (drawing(7)[:, :8] == 1).all()


@given(hnp.arrays(np.uint8, st.integers(0, 40), elements=st.sampled_from([*range(10), 255])))
def test_stages_partition_the_ids_and_count_what_they_leave_out(ids: np.ndarray) -> None:
    for stage in p.STAGES.values():
        targets = stage.targets(ids)
        assert targets.dtype == np.int64
        members = [int((targets == k).sum()) for k in range(len(stage.classes))]
        assert sum(members) + sum(stage.left_out(ids).values()) == len(ids)
        assert set(stage.left_out(ids)).isdisjoint(i for group in stage.groups for i in group)
        for group, index in zip(stage.groups, range(len(stage.groups)), strict=True):
            assert (targets[np.isin(ids, group)] == index).all()


def test_each_id_has_one_class_a_stage_and_the_stages_refine_one_another() -> None:
    for stage in p.STAGES.values():
        members = [i for group in stage.groups for i in group]
        assert len(members) == len(set(members))
        assert len(stage.classes) == len(stage.groups)
    one, two, rect, ab = (p.STAGES[k] for k in ("1", "2", "3-rect", "3-ab"))
    assert {i for g in one.groups for i in g} == set(range(10))
    assert {i for g in two.groups for i in g} == set(range(1, 8))
    assert tuple(i for g in rect.groups for i in g) == two.groups[two.classes.index("RECT")]
    assert tuple(i for g in ab.groups for i in g) == two.groups[two.classes.index("AB")]


def test_four_way_partitions_belong_to_no_stage_2_class_and_are_counted() -> None:
    ids = np.array([8, 9, 9, 0, 255, 3], np.uint8)
    assert p.STAGES["2"].targets(ids).tolist() == [-1, -1, -1, -1, -1, 0]
    assert p.STAGES["2"].left_out(ids) == {0: 1, 8: 1, 9: 2, 255: 1}


def test_ids_of_another_type_are_refused() -> None:
    with pytest.raises(ToolkitError, match="int64, expected uint8"):
        p.STAGES["2"].targets(np.array([-1]))


def test_nodes_have_the_partitions_and_stages_that_av1_gives_their_size() -> None:
    assert [len(p.partitions_of(node)) for node in p.NODES] == [4, 10, 10, 10, 8]
    for node in (16, 32, 64):
        assert p.stages_of(node) == p.STAGES
    assert p.stages_of(128) == p.STAGES | {"1": p.Stage("1", ("NONE", "PARTITION"), ((0,), tuple(range(1, 8))))}
    small = p.stages_of(8)
    assert list(small) == ["1", "2", "3-rect"]
    assert (small["2"].classes, small["2"].groups) == (("SPLIT", "RECT"), ((p.SPLIT,), (p.HORZ, p.VERT)))
    assert small["2"].targets(np.arange(4, dtype=np.uint8)).tolist() == [-1, 1, 1, 0]
    assert p.stage_of("3-rect", 8) == p.STAGES["3-rect"]
    with pytest.raises(ToolkitError, match=r"Stage '3-ab' .HORZ_A, .*: 8x8 nodes have no such choice; .* 1, 2, 3-rect"):
        p.stage_of("3-ab", 8)
