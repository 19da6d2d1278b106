"""The benchmark: native presets and masked ones on the same clips, interleaved, in one run."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from integration.bench.config import NEEDS_PIPELINE, BenchConfig
from integration.bench.session import CNN_OFF, NATIVE, PIPELINE, Arm, Session
from integration.bench.store import Measurement
from integration.bench.summary import summarise
from integration.bench.views import draw_views
from integration.media.sources import identify
from integration.pipeline.pipeline_set import Levels
from toolkit.errors import ToolkitError

Progress = Callable[[int, int, str], None]


def arms_of(config: BenchConfig, levels: Levels | None) -> list[Arm]:
    """Every way of encoding that a run compares, the native presets first."""
    if levels is None and (lacking := [kind for kind in NEEDS_PIPELINE if kind in config.against]):
        raise ToolkitError(f"--against {lacking[0]}: deals out a pipeline's masks. Pass --pipeline.")
    arms = [Arm(NATIVE, preset) for preset in config.presets]
    for preset in config.masked:
        if levels is not None:
            arms.append(Arm(PIPELINE, preset))
        arms += [Arm(kind, preset) for kind in (CNN_OFF, *NEEDS_PIPELINE) if kind in config.against]
        if "oracle" in config.against:
            arms += [Arm(f"oracle {stages}", preset) for stages in config.oracle_stages]
    return [replace(arm, threads=threads) for threads in config.threads for arm in arms]


def run_bench(
    paths: Sequence[Path],
    output: Path,
    config: BenchConfig,
    levels: Levels | None = None,
    progress: Progress = lambda done, total, what: None,
) -> dict[str, Any]:
    """Encode all that is not known yet in `output`, draw masks there, and return the summary.

    Its `reused` of all `encodes` were known: they were timed by an earlier run, not interleaved with the rest.
    `progress(done, total, what)` counts encodes. One that was stopped goes on. Raises ToolkitError for clips or a
    pipelines that do not suit, or another run at work in the same folder.
    """
    files, arms = identify(paths), arms_of(config, levels)
    total = config.repeats * len(files) * len(config.cq) * len(arms)
    output.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(output / "lock", timeout=0):
            session = Session(output, config, levels)
            session.check(files)
            measured: list[Measurement] = []
            # Arms change fastest and repeats slowest, so that a slow spell of the machine meets all arms alike.
            for repeat in range(config.repeats):
                for file in files:
                    for cq in config.cq:
                        for arm in arms:
                            threads = f", {arm.threads} threads" if len(config.threads) > 1 else ""
                            progress(len(measured), total, f"{file.name}, cq {cq}, {arm.name}{threads}")
                            measured.append(session.measure(file, cq, arm, repeat))
            progress(total, total, "done")
            views = draw_views(session, files, config) if levels else {}
    except Timeout:
        raise ToolkitError(f"{output}: another benchmark is writing there. Wait for it, or choose another.") from None
    return summarise(measured, config, levels) | {"encodes": total, "reused": session.reused, "views": views}
