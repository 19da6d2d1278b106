"""`train --precision auto`, and warnings about options that make training slower on this machine."""

from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner

from toolkit.cli.main import main
from toolkit.model.config import ModelConfig
from toolkit.training import speed
from toolkit.training.config import TrainConfig
from toolkit.training.run_folder import RunFolder

SMALL = ModelConfig("2", "small")
OPTIONS: dict[str, Any] = {"init": "random", "device": "cpu"}


def machine(monkeypatch: pytest.MonkeyPatch, native: bool | None, times: dict[str, float]) -> None:
    """A CPU with bf16 or without, on which a step takes 1 second times the factors of the options that are on."""

    def measured(model: ModelConfig, configs: list[TrainConfig], device: str) -> list[float]:
        seconds = []
        for c in configs:
            on = [c.precision, *(name for name in ("fused", "channels_last") if getattr(c, name))]
            seconds.append(1.0)
            for name in on:
                seconds[-1] *= times.get(name, 1.0)
        return seconds

    monkeypatch.setattr(speed, "native_bf16", lambda device: native)
    monkeypatch.setattr(speed, "_times", measured)


@pytest.mark.parametrize(
    ("native", "bf16", "chosen"),
    [
        (False, 0.1, "32-true"),  # PyTorch's word is enough, nothing is tried
        (True, 0.6, "bf16-mixed"),
        (True, 1.4, "32-true"),  # ResNet-18 of small blocks, on a CPU with bf16
        (None, 0.6, "bf16-mixed"),
        (None, 0.95, "32-true"),  # no clear gain
    ],
)
def test_auto_takes_what_the_machine_is_fast_in(
    native: bool | None, bf16: float, chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine(monkeypatch, native, {"bf16-mixed": bf16})
    assert speed.choose_precision(SMALL, TrainConfig(**OPTIONS)) == chosen


def test_several_processes_choose_alike_because_they_time_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, True, {"bf16-mixed": 0.1})
    assert speed.choose_precision(SMALL, TrainConfig(**OPTIONS, devices=2)) == "32-true"


def test_one_who_insists_on_what_is_slower_is_warned(monkeypatch: pytest.MonkeyPatch) -> None:
    insisted = TrainConfig(**OPTIONS, precision="bf16-mixed", fused=True, channels_last=True)
    machine(monkeypatch, True, {"bf16-mixed": 0.6, "fused": 0.9})
    assert speed.slower_options(SMALL, insisted) == []
    machine(monkeypatch, True, {"bf16-mixed": 8.0, "fused": 1.5, "channels_last": 1.2})
    assert [w.split(" here")[0] for w in speed.slower_options(SMALL, insisted)] == [
        "--channels-last makes a step 1.2 times as long",
        "--fused makes a step 1.5 times as long",
        "--precision makes a step 8.0 times as long",
    ]
    machine(monkeypatch, False, {"fused": 1.5})
    emulated, fused = speed.slower_options(SMALL, insisted)
    assert "--precision bf16-mixed: this CPU has no such arithmetic" in emulated
    assert "--fused" in fused
    assert "--precision 16-mixed" in speed.slower_options(SMALL, TrainConfig(**OPTIONS, precision="16-mixed"))[0]


def test_a_cpu_with_avx2_alone_has_no_bf16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")
    assert speed.native_bf16("cpu") is False


def test_steps_are_timed_without_a_trace_in_the_random_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "SECONDS", 0.1)
    before = torch.random.get_rng_state()
    sides = [TrainConfig(**OPTIONS), TrainConfig(**OPTIONS, fused=True, channels_last=True)]
    assert all(0 < seconds < 60 for seconds in speed._times(SMALL, sides, "cpu"))
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_run_records_the_precision_that_was_chosen_and_resumes_with_auto(
    blockset_8: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine(monkeypatch, True, {"bf16-mixed": 0.5})
    words = ["train", str(blockset_8), "-o", str(tmp_path / "run"), "--backbone", "small", "--init", "random"]
    words += ["--device", "cpu", "--epochs", "1", "--limit-train", "128", "--precision", "auto"]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.output
    assert "Precision auto: bf16-mixed here." in done.stderr
    assert RunFolder(tmp_path / "run").read()["train"]["precision"] == "bf16-mixed"
    machine(monkeypatch, False, {})
    again = CliRunner().invoke(main, [*words, "--resume"])
    assert again.exit_code == 0, again.output
    assert RunFolder(tmp_path / "run").read()["train"]["precision"] == "bf16-mixed"
