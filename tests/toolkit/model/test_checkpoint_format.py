"""Checkpoints of every wrong structure: loaded and usable, or refused in one line, and nothing else."""

import copy
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from support.sealed import NUMBERS, TEXTS

from export.bundle.write import weaknesses
from toolkit.cli.main import main
from toolkit.data.blockset import BlockSet
from toolkit.errors import ToolkitError
from toolkit.experiments.evaluate import evaluate_on
from toolkit.files import canonical_json
from toolkit.model.checkpoint import Checkpoint, load_checkpoint
from toolkit.model.provenance import record_of

RECORDS = ("config", "metrics", "baselines", "encoder", "provenance")


@pytest.fixture(scope="module")
def file(trained: Path) -> Path:
    return trained / "checkpoints" / "epoch-003.pt"


@pytest.fixture(scope="module")
def values(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = torch.load(file, weights_only=True)
    return found


def tensors(value: torch.Tensor) -> Iterator[tuple[str, Any]]:
    """Odd forms of a tensor. Not all survive torch.save, and then nobody can be handed them."""
    whole = value.float()
    makers: dict[str, Callable[[], Any]] = {
        "meta": lambda: value.to("meta"),
        "sparse": lambda: value.to_sparse(),
        "rows": lambda: whole.reshape(1, -1).to_sparse_csr(),
        "quantised": lambda: torch.quantize_per_tensor(whole, 0.1, 0, torch.qint8),
        "nested": lambda: torch.nested.nested_tensor([whole.flatten(), whole.flatten()[:1]]),
        "conjugate": lambda: torch.complex(whole, whole).conj(),
        "negative": lambda: torch.complex(whole, whole).conj().imag,
        "learning": lambda: whole.clone().requires_grad_(),
        "parameter": lambda: torch.nn.Parameter(whole),
        "half": lambda: value.half(),
        "double": lambda: value.double(),
        "whole": lambda: value.int(),
        "flat": lambda: value.flatten(),
        "empty": lambda: value[:0],
        "no axis": lambda: whole.sum(),
        "spread": lambda: whole.flatten()[:1].expand(value.shape),
        "nan": lambda: torch.full_like(whole, float("nan")),
        "list": lambda: value.tolist(),
        "none": lambda: None,
    }
    yield from makers.items()


def places(value: Any, at: tuple[Any, ...] = (), depth: int = 3) -> Iterator[tuple[Any, ...]]:
    if isinstance(value, dict) and depth:
        for key, entry in value.items():
            yield (*at, key)
            yield from places(entry, (*at, key), depth - 1)


def mutations(values: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    odd = [*NUMBERS, *TEXTS, float("nan"), float("inf"), (1,), {1: 2}, {"a": {2: 3}}, torch.ones(2), "a.b", [[None]]]
    deep: Any = []
    for _ in range(100):
        deep = [deep]
    records = {name: entry for name, entry in values.items() if name not in ("model_state_dict", "calibration")}
    for index, place in enumerate(places(records)):
        for value in [*odd, deep][index % 5 :: 5]:
            yield f"{place} = {value!r:.40}", replaced(values, place, value)
        yield f"{place} removed", replaced(values, place)
        yield f"beside {place}", replaced(values, (*place[:-1], "a.b"), odd[index % len(odd)])
    state = values["model_state_dict"]
    weights = [next(name for name in state if state[name].ndim == 4), next(name for name in state if "bias" in name)]
    for place in [("model_state_dict", name) for name in weights] + [
        ("calibration", name) for name in ("luma", "qindex", "target", "row")
    ]:
        for name, make in tensors(values[place[0]][place[1]]):
            try:
                yield f"{place} {name}", replaced(values, place, make())
            except RuntimeError:
                continue
    yield "a number for a weight's name", replaced(values, ("model_state_dict", 7), torch.ones(1))
    for name in ("bit_depth", "node"):
        for value in odd:
            yield f"calibration.{name}", replaced(values, ("calibration", name), value)


def replaced(values: dict[str, Any], place: tuple[Any, ...], *value: Any) -> dict[str, Any]:
    result = dict(values)
    parent = result
    for key in place[:-1]:
        parent[key] = dict(parent[key])
        parent = parent[key]
    if value:
        parent[place[-1]] = value[0]
    else:
        del parent[place[-1]]
    return result


def used(checkpoint: Checkpoint) -> None:
    """What export, evaluate, ensemble, train and parity take from a checkpoint."""
    canonical_json({"encoder": checkpoint.encoder, "provenance": checkpoint.provenance})
    canonical_json({"baselines": checkpoint.baselines, "config": checkpoint.config.to_dict()})
    record_of(checkpoint.provenance)
    weaknesses(checkpoint)


@pytest.mark.long
@pytest.mark.filterwarnings("ignore")  # torch calls sparse and nested tensors experimental
def test_every_mutated_checkpoint_is_used_or_refused_in_one_line(values: dict[str, Any], tmp_path: Path) -> None:
    path, counts = tmp_path / "x.pt", {"used": 0, "refused": 0}
    messages: dict[str, str] = {}
    for about, mutated in mutations(values):
        try:
            torch.save(mutated, path)
        except (RuntimeError, UnicodeEncodeError, NotImplementedError):
            continue
        try:
            used(load_checkpoint(path))
            counts["used"] += 1
        except ToolkitError as error:
            counts["refused"] += 1
            messages[about] = error.message
        except Exception as error:
            raise AssertionError(f"{about}: {type(error).__name__} {error}") from error
    assert {about: text[:300] for about, text in messages.items() if "\n" in text or len(text) > 3000} == {}
    assert counts["refused"] > 200, counts
    assert counts["used"] > 5, counts


def test_weights_that_are_learning_are_taken(values: dict[str, Any], tmp_path: Path) -> None:
    state = {
        k: v.requires_grad_() if v.is_floating_point() else v
        for k, v in copy.deepcopy(values)["model_state_dict"].items()
    }
    torch.save(values | {"model_state_dict": state}, tmp_path / "x.pt")
    loaded = load_checkpoint(tmp_path / "x.pt").model.state_dict()
    assert all(torch.equal(loaded[name], state[name]) for name in state)


@pytest.mark.parametrize("metrics", [{}, {"macro_f1": 0.5}])
def test_scores_may_be_missing_until_somebody_asks_for_them(
    values: dict[str, Any], data: BlockSet, tmp_path: Path, metrics: dict[str, float]
) -> None:
    torch.save(values | {"metrics": metrics, "baselines": {}}, tmp_path / "x.pt")
    checkpoint = load_checkpoint(tmp_path / "x.pt")
    assert checkpoint.metrics == metrics
    for ask in (weaknesses, lambda c: evaluate_on(c, data, "test", limit=20)):
        with pytest.raises(ToolkitError, match="Train again"):
            ask(checkpoint)


def test_the_commands_say_one_line(values: dict[str, Any], blockset_8: Path, tmp_path: Path) -> None:
    bad, output = tmp_path / "bad.pt", tmp_path / "out"
    torch.save(replaced(values, ("provenance", "train_sources"), [7]), bad)
    for command in (
        ["export", bad, "-o", output],
        ["evaluate", bad, blockset_8],
        ["ensemble", bad, bad, "-o", output, "--data", blockset_8],
        ["train", blockset_8, "-o", output, "--init", "stage1", "--from", bad, "--epochs", "1"],
        ["train", blockset_8, "-o", output, "--init", "random", "--teacher", bad, "--epochs", "1"],
    ):
        run = CliRunner().invoke(main, [str(word) for word in command])
        assert run.exit_code == 1, (command, run.output)
        assert "train_sources[0] is 7, expected str" in run.output, (command, run.output)
        assert not output.exists()


def test_an_archive_that_says_it_spans_several_disks_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "disks.pt"
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 1, 0, 2)
    file.write_bytes(locator + struct.pack("<4s4H2LH", b"PK\x05\x06", *[0] * 7))
    with pytest.raises(ToolkitError, match="a damaged archive"):
        load_checkpoint(file)
