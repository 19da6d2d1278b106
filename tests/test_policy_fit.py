"""`av1part policy fit`: thresholds by what they cost, never beyond the target, in a pipeline that says so."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from pictures import frame

from integration import policy_fit
from integration.bench_config import FitConfig
from integration.bench_run import NATIVE, Arm, Measurement
from integration.pipeline import Pipeline
from integration.pipeline_build import build_pipeline
from integration.pipeline_config import BuildConfig
from integration.policy import Policy
from integration.policy_fit import OFF, Fit, Trial, candidates, write_fitted
from toolkit.cli.main import main
from toolkit.errors import ToolkitError

CQ = (20, 40, 60)
AB, SPLIT = "drop_ab_below", "drop_split_below"
IDLE = OFF.to_dict()


class FakeSession:
    """An encoder of which the price list is known: percent of time and of bytes for each unit of a threshold."""

    def __init__(self, prices: dict[str, tuple[float, float]], synergy: float) -> None:
        self.prices, self.synergy = prices, synergy

    def measure(self, file: Any, cq: int, arm: Arm, repeat: int) -> Measurement:
        saved = extra = 0.0
        if arm.kind != NATIVE:
            values = (arm.policy or OFF).to_dict()
            saved = sum(values[name] * price[0] for name, price in self.prices.items())
            extra = sum(values[name] * price[1] for name, price in self.prices.items())
            extra += self.synergy * np.prod([values[name] for name in self.prices]) * (len(self.prices) > 1)
        size = (64 - cq) * 10000
        return Measurement(
            "clip", cq, arm.kind, arm.cpu_used, repeat, frames=1, bytes=round(size * (1 + extra / 100)),
            psnr_y=50 - cq / 2, encode_seconds=1 - saved / 100, inference_seconds=0, wall_seconds=1,
            masked_nodes=0, kept_nodes=0, nodes=100, lost_nodes=0,
        )  # fmt: skip


def search(prices: dict[str, tuple[float, float]], target: float, synergy: float = 0) -> Fit:
    config = FitConfig(target_loss=target, cq=CQ, shares=(0.5, 1))
    session: Any = FakeSession(prices, synergy)
    found = policy_fit._Search(session, [SimpleNamespace()], config, lambda trial: None)  # type: ignore[list-item]
    return found.run({name: [0.5, 1] for name in prices})


def test_the_cheap_threshold_goes_all_the_way_and_the_dear_one_as_far_as_the_target() -> None:
    fit = search({AB: (10, 0.2), SPLIT: (4, 1)}, 0.75)
    assert fit.chosen.policy.drop_ab_below == 1
    assert fit.chosen.policy.drop_split_below == 0.5
    assert fit.chosen.saving == pytest.approx(12)
    assert fit.chosen.loss == pytest.approx(0.7, abs=0.01)
    # Nothing, each value by itself (SPLIT at 1 breaks the target and is only tried once), and a few combinations.
    assert [t.policy for t in fit.trials[:3]] == [OFF, Policy(**IDLE | {AB: 0.5}), Policy(**IDLE | {AB: 1})]
    assert len({str(t.policy) for t in fit.trials}) == len(fit.trials) <= 5 + FitConfig.checks


def test_combinations_that_cost_more_than_their_sum_are_corrected() -> None:
    """Together these go far beyond the target although each is well within it."""
    fit = search({AB: (10, 0.4), SPLIT: (10, 0.4)}, 0.5, synergy=8)
    assert any(t.loss > 0.5 for t in fit.trials)
    assert fit.chosen.loss <= 0.5
    assert fit.chosen.saving == pytest.approx(10)


def test_what_saves_nothing_within_the_target_is_refused() -> None:
    with pytest.raises(ToolkitError, match=r"at most 0\.1%"):
        search({SPLIT: (4, 1)}, 0.1)
    with pytest.raises(ToolkitError, match="No threshold saved time"):
        search({AB: (-1, 0)}, 1)


def test_candidates_touch_their_shares_of_the_nodes_whatever_the_calibration() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(4000, 3))
    for temperature in (0.3, 3):  # over- and under-confident
        powers = np.exp(logits / temperature)
        p = powers / powers.sum(axis=1, keepdims=True)
        values = candidates({"2": p}, (0.25, 0.5))
        assert set(values) == {AB, "drop_rect_below", SPLIT, "split_only_above"}
        others = p[p.argmax(axis=1) != 2, 2]
        assert [(others < v).mean() for v in values[AB]] == pytest.approx([0.25, 0.5], abs=0.01)
        surest = p[p.argmax(axis=1) == 0, 0]
        assert [(surest > v).mean() for v in values["split_only_above"]] == pytest.approx([0.25, 0.5], abs=0.01)
    assert "none_only_above" in candidates({"1": p[:, :2], "2": p}, (0.5,))


def test_a_fitted_pipeline_is_sealed_and_says_where_its_policy_came_from(tmp_path: Path, exported: Path) -> None:
    build_pipeline([exported], tmp_path / "pipe", Policy(), BuildConfig(allow_unproven=True))
    clip = tmp_path / "cat.yuv"
    clip.write_bytes(b"".join(plane.tobytes() for plane in frame(96, 64)))
    policy = Policy(drop_ab_below=0.31)
    fit = Fit(Trial(policy, 0.2, 5.0, 0.01, 0.001), [])
    write_fitted(Pipeline.load(tmp_path / "pipe"), fit, [clip], tmp_path / "fitted", FitConfig())
    fitted = Pipeline.load(tmp_path / "fitted")
    assert fitted.policy == policy
    assert fitted.manifest["policy_fit"]["result"]["loss"] == 0.2
    assert fitted.manifest["policy_fit"]["clips"][0]["name"] == "cat"
    assert fitted.manifest["unproven"] == ["2"]


@pytest.mark.usefixtures("libaom")
def test_the_command_searches_with_the_real_encoder(tmp_path: Path, exported: Path) -> None:
    build_pipeline([exported], tmp_path / "pipe", Policy(), BuildConfig(allow_unproven=True))
    clip = tmp_path / "cat.yuv"
    clip.write_bytes(b"".join(plane.tobytes() for plane in frame(96, 64)))
    options = ["--raw", "96x64", "--any-settings", "--cpu-used", "4", "--cq", "20,40,60", "--target-loss", "50"]
    arguments = ["policy", "fit", str(tmp_path / "pipe"), "--clips", str(clip), "-o", str(tmp_path / "out"), *options]
    result = CliRunner().invoke(main, arguments)
    # The model was trained on painted blocks: whether it saves time on a cat is not the point.
    if result.exit_code:
        assert "No threshold saved time" in result.output
        assert not (tmp_path / "out").exists()
    else:
        assert "<- chosen" in result.output
        assert Pipeline.load(tmp_path / "out").policy != Policy()
        assert not (tmp_path / ".out.work").exists()
    assert "nothing removed" in result.output
    (tmp_path / "out").mkdir(exist_ok=True)
    assert CliRunner().invoke(main, arguments).exit_code == 1
