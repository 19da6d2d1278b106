"""Learning pruners: targets as computed by hand, forests equal in all their forms, records that refuse."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
import torch
from sklearn.ensemble import HistGradientBoostingRegressor
from support.pruners import toy_pruner, tree
from support.records import TABLE, a_source, some_rows, write_record
from support.sealed import write_json

from export.pruner.graph import output_name, pruner_graph
from integration.codec.libaom_build import Libraries
from integration.pruning.prove import NativeModel, prove
from toolkit.errors import ToolkitError
from toolkit.files import seal
from toolkit.partition import HORZ, HORZ_4, HORZ_A, NONE, SPLIT, VERT_B
from toolkit.pruners import targets
from toolkit.pruners.fit_network import fit_network
from toolkit.pruners.forest import Trees, from_boosting
from toolkit.pruners.learn import LearnConfig, examples, learn
from toolkit.pruners.network import Network
from toolkit.pruners.pruned_search import prune
from toolkit.pruners.pruner import Pruner
from toolkit.pruners.record import (
    ROW,
    RecordedFrame,
    SearchSet,
    check_rows,
)
from toolkit.search.table import DECISIONS, POINTS, STAGES, TABLES, known_at


def square(parent: int, partition: int, side: int = 16, **costs: float) -> np.ndarray:
    row = np.zeros(1, ROW)
    row["parent"], row["partition"], row["side"], row["reached"] = parent, partition, side, 1023
    row["bits"] = np.nan
    names = {"none": NONE, "horz": HORZ, "split": SPLIT, "ab": HORZ_A, "vert_b": VERT_B, "four": HORZ_4}
    for name, cost in costs.items():
        row["bits"][0, names[name]] = cost
    return row


def test_losses_of_a_single_square_are_what_its_next_best_would_have_cost() -> None:
    rows = square(-1, SPLIT, none=130, split=100, horz=110, ab=105, four=104)
    assert [targets.losses(rows, d)[0] for d in DECISIONS] == [30, 4, 0, 0, 0, 0, 0, 0, 0, 0]
    rows = square(-1, HORZ_A, none=130, split=120, horz=110, ab=100, four=104)
    assert [targets.losses(rows, d)[0] for d in DECISIONS] == [30, 0, 20, 4, 0, 0, 4, 0, 0, 0]
    rows = square(-1, VERT_B, none=130, split=120, horz=110, ab=105, vert_b=100)
    assert [targets.losses(rows, d)[0] for d in DECISIONS] == [30, 0, 20, 10, 0, 0, 0, 0, 0, 5]


def test_where_nothing_else_was_searched_to_its_end_the_whole_cost_is_lost_but_no_more_than_around() -> None:
    rows = square(-1, HORZ, 32, horz=100)
    assert targets.losses(rows, "no_rect").tolist() == [100]
    rows = np.concatenate([square(-1, SPLIT, 32, none=107, split=100), square(0, HORZ, horz=25)])
    assert targets.losses(rows, "no_rect").tolist() == [0, 7]


def test_giving_up_split_loses_what_no_split_does_around_and_saves_the_quarters_from_here_on() -> None:
    quarters = [square(0, HORZ, 8, none=30, horz=25) for _ in range(4)]
    rows = np.concatenate([square(-1, SPLIT, 16, none=107, split=100, horz=104), *quarters])
    rows["quarter"] = (0, 0, 1, 2, 3)
    rows["seconds"][:, 0] = (9, 1, 2, 4, 8)
    rows["seconds"][:, 1] = (15, 0, 0, 0, 0)
    assert targets.losses(rows, "no_more_split").tolist() == [0, 4, 4, 4, 4]
    assert targets.times(rows, "no_more_split")[1:].tolist() == [15, 14, 12, 8]


def test_a_loss_counts_at_most_what_the_squares_around_would_have_cost_and_only_on_the_chosen_path() -> None:
    rows = np.concatenate(
        [
            square(-1, SPLIT, 32, none=107, split=100),
            square(0, HORZ, none=60, horz=25),  # chosen, 35 lost by stopping, but 7 by the parent's NONE
            square(-1, NONE, 32, none=90, split=100),
            square(2, HORZ, none=60, horz=25),  # its parent is not split
            square(0, 255, none=60),  # nothing was found there
        ]
    )
    assert targets.losses(rows, "stop").tolist() == [7, 7, 0, 0, 0]


def test_times_are_the_stages_that_a_decision_skips() -> None:
    rows = square(-1, NONE)
    rows["seconds"] = (1, 2, 4, 8, 16, 32, 64, 128)
    assert [targets.times(rows, d)[0] for d in DECISIONS] == [254, 2, 252, 120, 128, 255, 8, 16, 32, 64]


def a_split_square() -> RecordedFrame:
    """A 16x16 square with four quarters; a second in every stage of each, and one more between the quarters."""
    rows = np.concatenate(
        [square(-1, SPLIT, 16, none=130, split=100, horz=110), *[square(0, HORZ, 8, none=30, horz=25)] * 4]
    )
    rows["quarter"] = (0, 0, 1, 2, 3)
    rows["seconds"] = 1
    rows["seconds"][0, STAGES.index("split")] = 4 * 8 + 1
    return RecordedFrame(rows, 1000, 256, 40.0)


def taking(**decided: tuple[int, ...]) -> dict[str, np.ndarray]:
    """Decisions at these rows of a_split_square."""
    return {name: np.isin(np.arange(5), decided.get(name, ())) for name in DECISIONS}


def saved(frame: RecordedFrame, decision: str, row: int, **others: tuple[int, ...]) -> float:
    """Seconds that a decision at one row of a_split_square saves, with the others taken too."""
    there = set(others.get(decision, ()))
    with_it, without = (taking(**others | {decision: tuple(rows)}) for rows in (there | {row}, there - {row}))
    return prune(frame, with_it).seconds - prune(frame, without).seconds


def test_where_nothing_is_taken_a_decision_saves_what_was_recorded() -> None:
    frame = a_split_square()
    for name in DECISIONS:
        first = 2 if name == "no_more_split" else 1  # never asked at a first quarter
        found = [saved(frame, name, row) for row in range(first, 5)]
        assert found == targets.times(frame.rows, name)[first:].tolist(), name
        assert not prune(frame, taking()).taken[name].any()
    assert saved(frame, "stop", 0) == targets.times(frame.rows, "stop")[0]
    assert prune(frame, taking()).seconds == 0


def test_a_decision_saves_only_what_the_others_leave() -> None:
    frame, others = a_split_square(), {"stop": (1, 2), "no_rect": (3,), "no_ab": (0,)}
    assert saved(frame, "no_split", 0, **others) == 1 + 1 + 1 + 2 + 8
    assert saved(frame, "no_rect", 0, **others) == 2
    assert saved(frame, "stop", 0, **others) == 15
    assert saved(frame, "stop", 1, **others) == 7
    search = prune(frame, taking(**others))
    assert search.seconds == 7 + 7 + 6 + 4
    assert np.flatnonzero(search.taken["stop"]).tolist() == [1, 2]


def test_losses_add_up_where_a_decision_is_taken() -> None:
    frame = a_split_square()
    expected = targets.losses(frame.rows, "stop")[[1, 2]].sum() + targets.losses(frame.rows, "no_rect")[3]
    assert prune(frame, taking(stop=(1, 2), no_rect=(3,))).bits == expected > 0


def test_a_square_whose_stages_were_not_seen_takes_what_its_quarters_take() -> None:
    frame = a_split_square()
    frame.rows["seconds"][0] = 0
    assert prune(frame, taking(stop=(1,))).seconds == 7
    assert prune(frame, taking()).seconds == 0


def test_what_lies_below_a_skipped_split_is_not_come_to() -> None:
    search = prune(a_split_square(), taking(no_split=(0,), stop=(1, 2, 3, 4)))
    assert search.seconds == 33
    assert not search.taken["stop"].any()
    assert search.taken["no_split"][0]


def test_split_that_is_given_up_is_given_up_once() -> None:
    frame, others = a_split_square(), {"no_more_split": (2, 4), "no_ab": (3,)}
    search = prune(frame, taking(**others))
    assert np.flatnonzero(search.taken["no_more_split"]).tolist() == [2]
    assert not search.taken["no_ab"].any()
    assert search.seconds == 24
    assert saved(frame, "no_split", 0, **others) == 1 + 8
    assert saved(frame, "no_more_split", 2, **others) == 8 + 4
    assert [saved(frame, "no_more_split", row, no_more_split=(4,), no_ab=(3,)) for row in (3, 4)] == [4, 8]


def test_no_decision_is_taken_after_one_that_skips_it() -> None:
    search = prune(a_split_square(), taking(stop=(1,), no_split=(1,), no_rect=(1, 2), no_ab=(2, 3), no_horz_a=(3, 4)))
    assert [np.flatnonzero(search.taken[name]).tolist() for name in ("no_split", "no_rect", "no_ab", "no_horz_a")] == [
        [],
        [2],
        [3],
        [4],
    ]


def test_units_are_average_pixels_of_the_picture() -> None:
    rows = square(-1, HORZ, none=150, horz=100)
    rows["seconds"] = (1, 0, 2, 0, 0, 0, 0, 0)
    made = examples([RecordedFrame(rows, bits=1000, pixels=4000, seconds=10.0)], "stop", np.array([0, 7, 9]))
    assert made.loss.tolist() == [200]
    assert made.time.tolist() == [800]
    assert made.features.shape == (1, 3)


@pytest.mark.numeric
def test_a_forest_predicts_what_scikit_learn_does_to_the_last_bits() -> None:
    rows = some_rows(3000, 0)
    target = rows["bits"][:, NONE].astype(np.float64)
    at = np.array([30, 2, *range(10, 25)])
    model = HistGradientBoostingRegressor(loss="poisson", max_iter=30, max_leaf_nodes=16)
    model.fit(rows["features"][:, at], target)
    fresh = some_rows(5000, 1)["features"]
    expected = np.log(model.predict(fresh[:, at]))
    np.testing.assert_allclose(from_boosting(model, at).predict(fresh), expected, atol=1e-12)


@pytest.fixture(scope="module")
def learnt() -> Pruner:
    frames = [RecordedFrame(some_rows(2000, seed), 10_000, 100_000, 1.0) for seed in range(2)]
    config = LearnConfig(model="trees", trees=12, leaves=8, decisions=("stop", "no_ab"))
    return learn(frames, TABLE, config)


def test_a_decision_looks_at_nothing_that_is_known_later(learnt: Pruner) -> None:
    assert set(learnt.models) == {(16, "stop")}  # no_ab lost nothing here: there is nothing to learn
    used = learnt.models[16, "stop"].loss.nodes["feature"]
    assert used.max() < known_at(TABLE, "stop") == 20
    assert known_at(TABLE, "no_four_way") == len(TABLES["key"])
    assert len(POINTS) == 5


def test_a_pruner_of_some_features_looks_at_no_other() -> None:
    frames = [RecordedFrame(some_rows(2000, 0), 10_000, 100_000, 1.0)]
    config = LearnConfig(model="trees", trees=5, leaves=8, decisions=("stop",), features=("f3", "f7", "f45"))
    used = learn(frames, TABLE, config).models[16, "stop"].loss.nodes["feature"]
    assert set(used[used >= 0]) <= {3, 7}  # f45 is not known so early
    with pytest.raises(ToolkitError, match="Features f99: unknown"):
        learn(frames, TABLE, LearnConfig(model="trees", features=("f3", "f99")))


@pytest.mark.numeric
def test_the_hook_onnx_runtime_and_the_reference_agree(learnt: Pruner, libaom: Libraries) -> None:
    features = some_rows(1000, 7)["features"]
    proof = prove(learnt, learnt.native(), pruner_graph(learnt), {(16, "stop"): features})
    assert proof["passed"]
    assert proof["rows"] == 1000
    (only,) = proof["comparisons"]
    assert only["native_differs"] == 0
    with pytest.raises(ToolkitError, match="No held-out row of stop at 16x16 nodes"):
        prove(learnt, learnt.native(), pruner_graph(learnt), {})


def test_planted_faults_are_caught(learnt: Pruner, libaom: Libraries) -> None:
    key = (16, "stop")
    rows = {key: some_rows(2000, 8)["features"]}
    graph = pruner_graph(learnt)

    def judged(loss: object) -> bool:
        wrong = Pruner(learnt.features, {key: Trees(loss, learnt.models[key].time)})
        return bool(prove(learnt, wrong.native(), graph, rows)["passed"])

    forest = learnt.models[key].loss
    assert judged(forest)
    swapped = forest.nodes.copy()
    used = np.unique(swapped["feature"][swapped["feature"] >= 0])[:2]
    swapped["feature"] = np.select(
        [swapped["feature"] == used[0], swapped["feature"] == used[1]], used[::-1], swapped["feature"]
    )
    shifted = forest.nodes.copy()
    at = int(np.flatnonzero(shifted["feature"] >= 0)[0])
    shifted["threshold"][at] = np.nextafter(rows[key][0, shifted["feature"][at]], np.float32(-np.inf))
    scaled = forest.nodes.copy()
    scaled["value"] = np.log1p(np.exp(scaled["value"]))
    for nodes in (swapped, shifted, scaled):
        assert not judged(type(forest)(forest.start, forest.roots, nodes))
    # The graph that ships is compared as well: one of other trees does not pass.
    other = pruner_graph(toy_pruner([key], tree(0, 100.0, -1.0, 1.0), 0.0))
    assert not prove(learnt, learnt.native(), other, rows)["passed"]


def test_a_threshold_of_one_float32_step_is_seen(libaom: Libraries) -> None:
    value = np.float32(0.1)
    features = np.zeros((2, len(TABLES["key"])), np.float32)
    features[0, 3], features[1, 3] = value, np.nextafter(value, np.float32(1))
    pruner = toy_pruner([(8, "stop")], tree(3, float(value), -1.0, 1.0), 0.0)
    assert NativeModel(pruner.native(), (8, "stop")).predict(features)[:, 0].tolist() == [-1.0, 1.0]
    session = ort.InferenceSession(pruner_graph(pruner), providers=["CPUExecutionProvider"])
    assert session.run([output_name(8, "stop")], {"features": features})[0][:, 0].tolist() == [-1.0, 1.0]


def written(folder: Path, rows: np.ndarray | None = None) -> Path:
    return write_record(folder, [a_source("a", "train", 0)], [some_rows(20, 0) if rows is None else rows])


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    opened = SearchSet.load(written(tmp_path / "record"))
    (found,) = opened.frames("train")
    assert found.rows.tobytes() == some_rows(20, 0).tobytes()
    assert (found.bits, found.pixels, found.seconds) == (1000, 4096, 0.5)
    assert opened.features == TABLE
    with pytest.raises(ToolkitError, match="no source is in the val split"):
        next(opened.frames("val"))


def test_what_is_no_sound_record_is_refused(tmp_path: Path) -> None:
    bad = some_rows(5, 0)
    bad["features"][3, 7] = np.nan
    with pytest.raises(ToolkitError, match="a feature is not a number"):
        written(tmp_path / "nan", bad)
    bad = some_rows(5, 0)
    bad["parent"][2] = 4
    with pytest.raises(ToolkitError, match="a square before the one around it"):
        written(tmp_path / "order", bad)
    with pytest.raises(ToolkitError, match="expected rows of a search"):
        check_rows(np.zeros((3, 3)), "here")
    folder = written(tmp_path / "changed")
    np.save(folder / "rows" / "a-cq32-00000.npy", some_rows(20, 1))
    with pytest.raises(ToolkitError, match=r"a-cq32-00000\.npy: changed"):
        SearchSet.load(folder)
    folder = written(tmp_path / "table")
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["features"].pop()
    write_json(folder / "manifest.json", seal(manifest))
    with pytest.raises(ToolkitError, match="a table of 51 features, expected 52"):
        SearchSet.load(folder)
    manifest["features"].append(manifest["features"][0])
    write_json(folder / "manifest.json", seal(manifest))
    with pytest.raises(ToolkitError, match="sorted by the point"):
        SearchSet.load(folder)


@pytest.fixture(scope="module")
def networks() -> Pruner:
    frames = [RecordedFrame(some_rows(3000, seed), 10_000, 100_000, 1.0) for seed in range(2)]
    return learn(frames, TABLE, LearnConfig(epochs=12, decisions=("stop",)))


@pytest.mark.numeric
def test_a_network_learns_what_its_features_tell(networks: Pruner) -> None:
    rows = some_rows(3000, 5)
    made = examples([RecordedFrame(rows, 10_000, 100_000, 1.0)], "stop", np.arange(20))
    loss, time = networks.models[16, "stop"].predict(made.features).T
    assert np.corrcoef(loss, np.log(made.loss))[0, 1] > 0.85
    assert np.corrcoef(time, np.log(made.time))[0, 1] > 0.7
    assert np.exp(loss).mean() == pytest.approx(made.loss.mean(), rel=0.2)


@pytest.mark.numeric
def test_a_network_is_the_same_for_the_same_seed(networks: Pruner) -> None:
    frames = [RecordedFrame(some_rows(3000, seed), 10_000, 100_000, 1.0) for seed in range(2)]
    again = learn(frames, TABLE, LearnConfig(epochs=12, decisions=("stop",)))
    assert again.native() == networks.native()
    with pytest.raises(ToolkitError, match="Features can be left out of trees alone"):
        learn(frames, TABLE, LearnConfig(features=("f3",)))


@pytest.mark.numeric
def test_a_network_is_the_same_on_any_number_of_threads() -> None:
    rng, before = np.random.default_rng(0), torch.get_num_threads()
    features = rng.normal(size=(20_000, len(TABLES["key"]))).astype(np.float32)
    loss, time = rng.gamma(1, 1, (2, 20_000))
    made = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            made.append(fit_network(features, loss, time, 1, 0).native(16, 0))
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert made[0] == made[1]


@pytest.mark.numeric
def test_all_forms_of_a_network_agree_also_far_from_what_it_learnt(networks: Pruner, libaom: Libraries) -> None:
    rows = some_rows(1000, 7)["features"]
    rows[500:] *= 50
    proof = prove(networks, networks.native(), pruner_graph(networks), {(16, "stop"): rows})
    assert proof["passed"]
    found = NativeModel(networks.native(), (16, "stop")).predict(rows)
    assert found.tobytes() == networks.models[16, "stop"].predict(rows).tobytes()


def test_planted_faults_of_a_network_are_caught(networks: Pruner, libaom: Libraries) -> None:
    key = (16, "stop")
    rows = {key: some_rows(2000, 8)["features"]}
    graph, right = pruner_graph(networks), networks.models[key]
    assert isinstance(right, Network)
    swapped = replace(right, mean=right.mean[[1, 0, *range(2, 20)]])
    one_ulp = replace(right, biases=(right.biases[0], right.biases[1], np.nextafter(right.biases[2], np.float32(9))))
    other = replace(right, weights=(right.weights[0], right.weights[1][::-1].copy(), right.weights[2]))
    for wrong in (swapped, one_ulp, other):
        data = Pruner(networks.features, {key: wrong}).native()
        assert not prove(networks, data, graph, rows)["passed"]
        if wrong is not one_ulp:  # below what float32 tells apart
            changed = pruner_graph(Pruner(networks.features, {key: wrong}))
            assert not prove(networks, networks.native(), changed, rows)["passed"]


@pytest.mark.parametrize("size", [20, 60, 1000, -4, -1])
def test_the_hook_refuses_a_network_that_is_cut_short(networks: Pruner, libaom: Libraries, size: int) -> None:
    with pytest.raises(ToolkitError, match="The hook refuses the pruner"):
        NativeModel(networks.native()[:size], (16, "stop")).predict(some_rows(1, 0)["features"])


def test_the_hook_refuses_a_network_of_another_shape(networks: Pruner, libaom: Libraries) -> None:
    data = networks.native()
    for at, value in ((28, 50), (32, 31), (36, 1), (24, 3)):  # inputs, hidden units, what is 0, kind
        wrong = data[:at] + value.to_bytes(4, "little") + data[at + 4 :]
        with pytest.raises(ToolkitError, match="The hook refuses the pruner"):
            NativeModel(wrong, (16, "stop")).predict(some_rows(1, 0)["features"])
    nan = data[:48] + np.float32(np.nan).tobytes() + data[52:]
    with pytest.raises(ToolkitError, match="The hook refuses the pruner"):
        NativeModel(nan, (16, "stop")).predict(some_rows(1, 0)["features"])
