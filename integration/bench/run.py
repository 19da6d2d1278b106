"""The benchmark: native and masked presets on the same clips, interleaved in one run."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from integration.bench.config import BenchConfig
from integration.bench.session import NATIVE, PIPELINE, PRUNER, Arm, Session
from integration.bench.store import Measurement
from integration.bench.summary import Summary, summarise
from integration.media.sources import identify
from integration.pipeline.pipeline_set import PipelineSet
from integration.pruning.bundle import PrunerBundle
from toolkit.files import one_at_a_time

Progress = Callable[[int, int, str], None]


class BenchReport(Summary):
    """The whole report, as it is written to report.json.

    `libaom` is the version of libaom. `bit_depths` are those of the clips, `largest` is the largest size at which one
    is coded, as in `480x320`. `reused` of all `encodes` were timed by an earlier run, not interleaved with the rest.
    """

    libaom: str
    bit_depths: list[int]
    largest: str
    encodes: int
    reused: int


def arms_of(config: BenchConfig, pipelines: PipelineSet | None, pruner: PrunerBundle | None = None) -> list[Arm]:
    """Every way of encoding that a run compares, the native presets first."""
    arms = [Arm(NATIVE, preset) for preset in config.presets]
    for preset in config.masked:
        if pipelines is not None:
            arms.append(Arm(PIPELINE, preset))
        if pruner is not None:
            arms += [Arm(PRUNER, preset, price=price) for price in config.prices or (pruner.price,)]
    return [replace(arm, threads=threads) for threads in config.threads for arm in arms]


def run_bench(
    paths: Sequence[Path],
    output: Path,
    config: BenchConfig,
    pipelines: PipelineSet | None = None,
    progress: Progress = lambda done, total, what: None,
    pruner: PrunerBundle | None = None,
) -> BenchReport:
    """Make every encode that is not kept in `output` yet, and return the report.

    A run that was stopped goes on where it was. `progress(done, total, what)` counts encodes. Raises ToolkitError for
    clips that do not suit the pipelines or the pruner, and where another run is at work in the same folder.
    """
    files, arms = identify(paths), arms_of(config, pipelines, pruner)
    total = config.repeats * len(files) * len(config.cq) * len(arms)
    busy = f"{output}: another benchmark is writing there. Wait for it, or choose another."
    with one_at_a_time(output / "lock", busy):
        session = Session(output, config, pipelines, pruner)
        clips = session.check(files)
        measured: list[Measurement] = []
        # Arms change fastest and repeats slowest, so that a slow spell of the machine affects all arms alike.
        for repeat in range(config.repeats):
            for file in files:
                for cq in config.cq:
                    for arm in arms:
                        threads = f", {arm.threads} threads" if len(config.threads) > 1 else ""
                        progress(len(measured), total, f"{file.name}, cq {cq}, {arm.name}{threads}")
                        measured.append(session.measure(file, cq, arm, repeat))
        progress(total, total, "done")
    summary = summarise(measured, config, pipelines)
    largest = max(clips, key=lambda clip: clip.width * clip.height)
    return {
        **summary,
        "libaom": session.libaom,
        "bit_depths": sorted({clip.bit_depth for clip in clips}),
        "largest": f"{largest.width}x{largest.height}",
        "encodes": total,
        "reused": session.reused,
    }
