"""`av1part fit` on labels: a proven, fitted pipeline in one command that goes on where it was stopped."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.commands import cli, done, fails
from support.libaom import IN_USE
from support.pictures import CHELSEA
from support.pruners import toy_folder, toy_pruner

from integration.codec.encoder import EncoderSettings
from integration.codec.libaom_build import Libraries
from integration.pipeline.pipeline import Pipeline
from integration.tuning import masks
from toolkit.data.blockset import COST_DTYPE, BlockSet
from toolkit.data.write import Source, write_blockset
from toolkit.files import sha256_file
from toolkit.partition import INSIDE_LARGER, NONE

ENCODER = EncoderSettings(2).recorded(IN_USE)
WORDS = ("--size", "96x64", "--frames", 1, "--target-loss", 60)


def labelled(
    path: Path, output: Path, encoder: dict[str, Any], *, costs: bool = True, first: str | None = None
) -> Path:
    """The same data set as if libaom had labelled it; all but the label 5% dearer. `first`: sha256 of source 0."""
    data = BlockSet.load(path)
    sources = [
        Source(
            s["name"], s["split"], first if first and not k else s["sha256"], np.array(data.luma(k)),
            licence="CC0-1.0", origin="synthetic",
        )
        for k, s in enumerate(data.sources)
    ]  # fmt: skip
    found = np.zeros(len(data.blocks), COST_DTYPE)
    found["rd"], found["seconds"] = 105, 1e-3
    label = np.where(data.blocks["partition"] == INSIDE_LARGER, NONE, data.blocks["partition"])
    found["rd"][np.arange(len(found)), label] = 100
    write_blockset(output, sources, data.blocks, data.bit_depth, encoder, costs=found if costs else None)
    return output


@pytest.fixture(scope="module")
def labels(blockset_8: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return labelled(blockset_8, tmp_path_factory.mktemp("labels") / "data", ENCODER)


@pytest.fixture(scope="module")
def pruner(libaom: Libraries, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy_folder(tmp_path_factory.mktemp("pruner") / "pruner", libaom, toy_pruner([(16, "no_ab")], -2, 2))


def test_a_dry_run_says_what_would_be_learnt_and_tried(labels: Path, pruner: Path, tmp_path: Path) -> None:
    words = ("fit", labels, CHELSEA, "-o", tmp_path / "out", "--pruner", pruner, "--dry-run")
    said = done(*words).stdout
    for stage, epochs in (("1", 5), ("2", 12)):
        train, val = (len(BlockSet.load(labels).split_index(split, stage)) for split in ("train", "val"))
        line = f"Stage {stage}: {train:,} nodes to learn from, {val:,} to judge by, {epochs} epochs; then proven.\n"
        assert line in said
    assert "thresholds for 4 ranges of qindex, sought on" in said
    assert "At most 3 policies are tried, and the pruner without masks:\n  chelsea: 1 frame of " in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.numeric
def test_labels_become_a_fitted_pipeline_and_a_stopped_run_goes_on(
    labels: Path, pruner: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stages: dict[str, dict[str, Any]] = {
        "1": {"loss": "cross-entropy", "epochs": 6},
        "2": {"loss": "cost-ce", "epochs": 8},
    }
    monkeypatch.setattr(masks, "STAGES", stages)
    config = masks.fit_config  # what so few pixels take by the clock says nothing
    monkeypatch.setattr(masks, "fit_config", lambda *given: replace(config(*given), allow_loss=True))
    trained: list[str] = []
    real = masks.train

    def train(data: BlockSet, run: Any, model: Any, *args: Any, **options: Any) -> Any:
        trained.append(model.stage)
        if trained == ["1", "2"]:  # interrupted after the second epoch of Stage 2
            return real(data, run, model, *args, **options | {"on_epoch": stop_at(2)})
        return real(data, run, model, *args, **options)

    monkeypatch.setattr(masks, "train", train)
    fit = ("fit", labels, CHELSEA, "--pruner", pruner, "-o", tmp_path / "pipe", *WORDS)
    fails(cli(*fit), "interrupted. What is finished is kept beside the output.")
    assert not (tmp_path / "pipe").exists()
    result = done(*fit)
    said = result.stderr
    assert trained == ["1", "2", "2"], "Stage 1 is not trained again"
    assert "--stage 2 --recipe best --loss cost-ce --epochs 8 --resume" in said
    for step in ("export", "parity", "pipeline build", "policy fit"):
        assert f"$ av1part {step}" in said
    assert f"--clips {CHELSEA} --target-loss 60 --usage good --size 96x64 --frames 1 -o {tmp_path / 'pipe'}" in said
    assert "Stage 2: proven on cpu." in said
    assert "CPU time, inference charged, for" in result.stdout
    assert "Next: av1part encode CLIP --pipeline" in said
    assert [p.name for p in tmp_path.iterdir()] == ["pipe"], "nothing is left beside it"
    made = Pipeline.load(tmp_path / "pipe")
    assert (tuple(made.bundles), made.manifest["unproven"]) == (("1", "2"), [])
    assert made.manifest["policy_fit"]["clips"][0]["sha256"] == sha256_file(CHELSEA)
    assert made.pruner
    words = ("--pipeline", tmp_path / "pipe", "--cpu-used", 2, "--size", "96x64", "--json")
    report = json.loads(done("encode", CHELSEA, *words, "-o", tmp_path / "out.ivf").stdout)
    assert report["decisions"]


def stop_at(last: int) -> Callable[[dict[str, Any]], None]:
    def on_epoch(epoch: dict[str, Any]) -> None:
        if epoch["epoch"] == last:
            raise KeyboardInterrupt

    return on_epoch


def test_what_cannot_end_well_is_refused_before_anything_is_learnt(
    labels: Path, blockset_8: Path, pruner: Path, libaom: Libraries, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def train(*args: object, **options: object) -> None:
        raise AssertionError("training began")

    monkeypatch.setattr(masks, "train", train)

    def refused(data: Path, *said: str, source: Path = CHELSEA, words: tuple[object, ...] = ()) -> None:
        fails(cli("fit", data, source, "-o", tmp_path / "out", *WORDS, *words), *said)
        assert not (tmp_path / "out").exists()

    imported = labelled(blockset_8, tmp_path / "imported", {"imported": {"from": "older data"}})
    refused(imported, "which encoder chose them is not recorded", "`av1part train`")
    refused(labelled(blockset_8, tmp_path / "free", ENCODER, costs=False), "holds no RD costs", "--no-costs")
    other = labelled(blockset_8, tmp_path / "other", ENCODER | {"version": "3.6.0"})
    refused(other, f"version: '3.6.0', expected '{IN_USE}'", "Label again")
    seen = labelled(blockset_8, tmp_path / "seen", ENCODER, first=sha256_file(CHELSEA))
    refused(seen, "chelsea.png: in DATA's training split")
    slower = toy_folder(tmp_path / "slower", libaom, toy_pruner([(16, "stop")], 0, 0), cpu_used=1)
    refused(labels, "cpu_used is 1 there and 2 of the stages", words=("--pruner", slower))
    deep = tmp_path / "deep.y4m"
    deep.write_bytes(b"YUV4MPEG2 W32 H32 F25:1 C420p10 XYSCSS=420P10\nFRAME\n" + b"\0\2" * (32 * 32 * 3 // 2))
    refused(labels, "10 bit, DATA 8", source=deep)
    assert cli("fit", labels, CHELSEA, "-o", tmp_path / "out", "--model", "trees").exit_code == 2
    shutil.rmtree(tmp_path / "free")
    fails(cli("fit", tmp_path / "free", CHELSEA, "-o", tmp_path / "out"), "no such folder")
