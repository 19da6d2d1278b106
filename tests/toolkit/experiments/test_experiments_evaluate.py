"""Evaluation on other data: the figures are those of the library, what was trained on is refused, and calibration."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from conftest import MakeBlockset
from scipy.special import log_softmax, softmax
from sklearn.metrics import f1_score, log_loss

from toolkit.cli.main import main
from toolkit.data.blockset import BlockSet
from toolkit.errors import ToolkitError
from toolkit.experiments.reliability import (
    BINS,
    fit_temperature,
    negative_log_likelihood,
    reliability,
    reliability_scores,
)
from toolkit.model.checkpoint import load_checkpoint, load_torch, save_torch
from toolkit.model.network import predict
from toolkit.training.run_folder import RunFolder


def evaluate(*arguments: object) -> Any:
    result = CliRunner().invoke(main, ["evaluate", *map(str, arguments), "--json"])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def draw(temperature: float, count: int = 20000) -> tuple[np.ndarray, np.ndarray]:
    """Logits, and targets that come true as often as the logits over the temperature say."""
    rng = np.random.default_rng(1)
    logits = rng.normal(0, 3, (count, 3))
    shares = softmax(logits / temperature, axis=1).cumsum(1)
    return logits, (rng.random(count)[:, None] > shares).sum(1).astype(np.int64)


def test_temperature_scaling_finds_the_temperature_and_mends_the_error() -> None:
    logits, targets = draw(2.5)
    assert fit_temperature(logits, targets) == pytest.approx(2.5, rel=0.03)
    found = reliability_scores(logits, targets, fit_temperature(logits, targets))
    assert found["ece"] > 0.1
    assert found["ece_scaled"] < 0.02
    assert found["nll_scaled"] < found["nll"]
    assert found["nll"] == pytest.approx(log_loss(targets, softmax(logits, axis=1)))


def test_calibrated_logits_have_next_to_no_error_and_keep_their_temperature() -> None:
    logits, targets = draw(1.0)
    assert reliability(logits, targets).error < 0.02
    assert fit_temperature(logits, targets) == pytest.approx(1.0, abs=0.03)


def test_expected_calibration_error_by_hand() -> None:
    # Ten blocks said to be SPLIT with 0.9, of which seven are; ten with 0.6, of which six are.
    confidence = np.repeat([0.9, 0.6], 10)
    logits = np.log(np.stack([confidence, 1 - confidence], 1))
    targets = np.array([0] * 7 + [1] * 3 + [0] * 6 + [1] * 4)
    bins = reliability(logits, targets)
    assert bins.error == pytest.approx((10 * 0.2 + 10 * 0.0) / 20)
    assert len(bins.count) == BINS
    assert bins.count.sum() == 20
    assert reliability(np.array([[100.0, 0.0]]), np.array([0])).count[-1] == 1  # a probability of 1 is in the last bin


def test_weights_stand_for_blocks() -> None:
    logits, targets = draw(1.7, 500)
    weights = np.where(targets == 0, 3.0, 1.0)
    thrice = np.repeat(np.arange(500), weights.astype(int))
    assert fit_temperature(logits, targets, weights) == pytest.approx(
        fit_temperature(logits[thrice], targets[thrice]), rel=1e-3
    )
    assert negative_log_likelihood(logits, targets, 1.0, weights) == pytest.approx(
        float(-log_softmax(logits[thrice], 1)[np.arange(len(thrice)), targets[thrice]].mean())
    )


def test_calibration_refuses_nothing_and_nan() -> None:
    with pytest.raises(ToolkitError, match="N >= 1"):
        reliability(np.empty((0, 3)), np.empty(0, np.int64))
    with pytest.raises(ToolkitError, match="NaN or infinity"):
        fit_temperature(np.array([[np.nan, 0.0]]), np.array([0]))


@pytest.mark.numeric
def test_slices_are_what_the_library_says_and_add_up(trained: Path, blockset_8: Path) -> None:
    found = evaluate(trained, blockset_8)
    checkpoint = load_checkpoint(RunFolder(trained).artefact("model_best.pt"))
    blocks = BlockSet.load(blockset_8).split_blocks("test", "2")
    predicted = predict(checkpoint.model, blocks.luma, blocks.qindex).argmax(1).numpy()
    assert found["blocks"] == len(blocks)
    assert found["overall"]["macro_f1"] == pytest.approx(f1_score(blocks.target, predicted, average="macro"))
    for slices, values in ((found["per_qindex"], blocks.qindex), (found["per_source"], blocks.source)):
        assert sum(s["blocks"] for s in slices.values()) == len(blocks)
        for (name, scores), value in zip(slices.items(), np.unique(values), strict=True):
            part = values == value
            assert name in (str(value), f"test-{value}")
            expected = f1_score(blocks.target[part], predicted[part], average="macro")
            assert scores["macro_f1"] == pytest.approx(expected)
    assert found["beats_baseline"]
    assert found["overall"]["constant_macro_f1"] == max(b["macro_f1"] for b in found["baselines"].values())
    assert found["notes"] == found["seen"] == []


def test_another_data_set_of_the_same_depth(trained: Path, make_blockset: MakeBlockset, tmp_path: Path) -> None:
    # A synthetic source's hash is its number: this test source is 6, those trained on are 0 to 2.
    other = make_blockset(tmp_path / "other", splits={"train": 5, "val": 1, "test": 1}, seed=9)
    found = evaluate(trained, other)
    assert found["data"]["sha256"] == BlockSet.load(other).sha256
    assert found["calibration"]["fitted_on"].endswith("validation blocks in the checkpoint")
    assert found["calibration"]["nll_scaled"] == pytest.approx(found["calibration"]["nll"], rel=0.5)


def test_what_was_trained_on_is_refused_unless_allowed_and_then_said(trained: Path, blockset_8: Path) -> None:
    arguments = ["evaluate", str(trained), str(blockset_8), "--split", "train"]
    refused = CliRunner().invoke(main, arguments)
    assert refused.exit_code == 1
    assert "trained on train-0, train-1, train-2" in refused.output
    allowed = CliRunner().invoke(main, [*arguments, "--allow-seen"])
    assert allowed.exit_code == 0, allowed.output
    assert "SEEN IN TRAINING: train-0, train-1, train-2" in allowed.output


def test_sources_of_the_stage_1_that_it_started_from_count_as_seen(
    trained: Path, blockset_8: Path, tmp_path: Path
) -> None:
    values = load_torch(RunFolder(trained).epoch_path(3))
    data = BlockSet.load(blockset_8)
    values["provenance"]["init"] = {"kind": "stage1", "trained_on": [data.sources[-1]["sha256"]]}
    save_torch(tmp_path / "started.pt", values)
    refused = CliRunner().invoke(main, ["evaluate", str(tmp_path / "started.pt"), str(blockset_8)])
    assert refused.exit_code == 1
    assert data.sources[-1]["name"] in refused.output


def test_other_depth_is_refused_and_other_encoder_settings_are_said(
    trained: Path, blockset_8: Path, blockset_10: Path, tmp_path: Path
) -> None:
    refused = CliRunner().invoke(main, ["evaluate", str(trained), str(blockset_10)])
    assert refused.exit_code == 1
    assert "10-bit luma, the model takes 8 bit" in refused.output
    values = load_torch(RunFolder(trained).epoch_path(3))
    values["encoder"]["cpu_used"] = 4
    save_torch(tmp_path / "other.pt", values)
    notes = evaluate(tmp_path / "other.pt", blockset_8)["notes"]
    assert notes == ["The labels come from other encoder settings (cpu_used: 1, expected 4)."]


def test_epoch_and_limit(trained: Path, blockset_8: Path) -> None:
    assert evaluate(trained, blockset_8, "--epoch", 1, "--limit", 50)["epoch"] == 1
    assert evaluate(trained, blockset_8, "--limit", 50)["blocks"] == 50
    missing = CliRunner().invoke(main, ["evaluate", str(trained), str(blockset_8), "--epoch", "9"])
    assert missing.exit_code == 1
    assert "no epoch 9; 3 are finished" in missing.output


def test_the_tables_show_every_slice(trained: Path, blockset_8: Path) -> None:
    shown = CliRunner().invoke(main, ["evaluate", str(trained), str(blockset_8)])
    assert shown.exit_code == 0, shown.output
    for text in ("always SPLIT", "test-5", "test-6", "200", "expected error (15 bins)", "It beats the best constant"):
        assert text in shown.output
