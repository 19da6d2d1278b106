"""What `av1part run` says at the end: what was pruned, what was not and why, and what would help."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from integration.codec.config import CHROMAS
from integration.codec.system_libaom import system_libaom
from integration.hosts.counts import HostRun

if TYPE_CHECKING:
    from integration.pipeline.pipeline import Pipeline
    from integration.pruning.bundle import PrunerBundle

_OPTIONS = {
    "ffmpeg": {
        "chroma": "-pix_fmt {}",
        "usage": "-usage {}",
        "speed": "-cpu-used {}",
        "four_way": "-aom-params enable-1to4-partitions={}",
        "tune": "-tune {}",
    },
    "avifenc": {"chroma": "-y {}", "depth": "-d {}", "speed": "-s {}", "tune": "-a tune={}"},
}
"""Options of hosts, by what they change. Of other hosts the setting itself is named."""
_SETTINGS = {
    "chroma": "{}",
    "depth": "{} bit",
    "usage": "usage {}",
    "speed": "cpu-used {}",
    "four_way": "enable-1to4-partitions={}",
    "tune": "tune {}",
}
_CHROMA = {
    "ffmpeg": {"4:2:0": "yuv420p", "4:2:2": "yuv422p", "4:4:4": "yuv444p", "monochrome": "gray"},
    "avifenc": {"4:2:0": "420", "4:2:2": "422", "4:4:4": "444", "monochrome": "400"},
}
"""Names that hosts have for chroma."""
_ENCODER = re.compile(
    r"for (\d+) bit, (4:\d:\d|monochrome), usage (\w+), cpu-used (\d+), 4-way (on|off)(?:, (?:tune )?([a-z0-9 ]+))?"
)


@dataclass(frozen=True)
class Served:
    """Usage, 4-way setting, bit depth, chroma and tune that are pruned or masked, and the speeds at which they are."""

    usage: str
    four_way: bool
    speeds: tuple[int, ...]
    chroma: str = CHROMAS[420]
    tune: str = "psnr"
    depth: int = 8

    @classmethod
    def by(cls, model: "PrunerBundle | Pipeline") -> "list[Served]":
        """What a pruner or a pipeline serves: where a pruner has a card, the speeds at which all on it is a gain."""
        from integration.codec.libaom_versions import version
        from integration.pruning.bundle import PrunerBundle
        from integration.zoo.card import FILE, Card, rows_with, served

        usage = str(model.encoder.get("usage", "good"))
        four_way = bool(model.encoder.get("enable_1to4_partitions", 1))
        if isinstance(model, PrunerBundle) and (model.path / FILE).is_file():
            own = served(rows_with(version().name, Card.load(model.path).measured))
            return [
                cls(usage, four_way, tuple(at), CHROMAS[chroma], tune, depth)
                for (depth, chroma, tune), at in own.items()
                if at
            ]
        learnt_at = (int(model.encoder.get("cpu_used", 0)),)
        chroma = str(model.encoder.get("chroma", CHROMAS[420]))
        both = isinstance(model, PrunerBundle) and model.frame_kind == "key"
        depths = (8, 10) if both else (int(model.manifest["bit_depth"]),)
        return [cls(usage, four_way, learnt_at, chroma, depth=depth) for depth in depths]


def told(
    done: HostRun, host: str, models: "Callable[[], Sequence[PrunerBundle | Pipeline]]", version: str
) -> list[str]:
    """Sentences on what was done in a host, for stderr. `version`: that of the libaom which replaced its own.

    The models are opened, by the function that gives them, only where something was not pruned.
    """
    said = _counted(done)
    if done.incomplete:
        said.append("What else was pruned is unknown: not all that was counted can be read")
    elif not said:
        said.append(f"nothing was pruned in {host}: {_why(done)}")
    known = [own for model in models() for own in Served.by(model)] if done.reasons else []
    if options := helpful(done.reasons, host, known):
        said.append(f"To have it pruned: {options}")
    if done.lines or done.reasons:
        system = system_libaom()
        own = f"{system} of the system" if system else "none, which the system has"
        said.append(f"libaom {version} took the place of {own}")
    return said


def _counted(done: HostRun) -> list[str]:
    """What was pruned and masked, and how many of the frames were neither; empty where no frame was."""
    said, seen = [], done.key_frames + done.inter_frames
    if done.pruned_frames or (seen and not done.masked_frames):
        of = f"{done.skipped:,} of {done.asked:,} decisions skip a part of the search"
        said.append(f"{_pruned(done, seen)}, {of}")
    if done.masked_frames:
        of = f"a part of the search taken away at {done.masked_nodes:,} nodes"
        said.append(f"{done.masked_frames} of {done.key_frames} key frames masked, {of}")
    if not said:
        return []
    others, kind = done.frames - seen, "key" if done.inter_frames else "inter"
    rest = f"The other {others} of all {done.frames} frames, {kind} frames, are coded as by libaom alone"
    return ["; ".join(said), *([rest] if others > 0 else [])]


def _pruned(done: HostRun, seen: int) -> str:
    """How many frames were pruned, of the `seen` ones of a kind that a pruner is for; hidden ones are among them."""
    if not (done.key_frames and done.inter_frames):
        return f"{done.pruned_frames} of {seen} {'key' if done.key_frames else 'inter'} frames pruned"
    share = "all" if done.pruned_frames == seen else f"{done.pruned_frames} of"
    return f"{share} {seen} coded frames pruned ({done.frames} shown)"


def _why(done: HostRun) -> str:
    if done.reasons:
        return "; ".join(dict.fromkeys(reason.partition(": ")[2] for reason in done.reasons))
    return (
        "no encoder of libaom's shared library took a pruner. One that has libaom within itself (a static build) does "
        "not see ours"
    )


def helpful(reasons: Sequence[str], host: str, known: Sequence[Served]) -> str:
    """Options of a host with which the encoders of these reasons would be served; empty where none is known."""
    found: dict[str, str] = {}
    for reason in reasons:
        if match := _ENCODER.search(reason):
            depth, chroma, usage, speed, four_way, tune = match.groups()
            wanted = Served(usage, four_way == "on", (int(speed),), chroma, tune or "psnr", int(depth))
            near = _nearest(known, wanted)
            if host == "ffmpeg" and ("depth" in near or "chroma" in near):  # one pixel format says both
                deep = "10le" if near.pop("depth", depth) == "10" else ""
                near["chroma"] = _CHROMA[host][near.get("chroma", chroma)] + deep
            found |= near
    own = _CHROMA.get(host, {})
    found = {name: own.get(value, value) for name, value in found.items()}
    names = _OPTIONS.get(host, _SETTINGS)
    return " ".join(names[name].format(found[name]) for name in _SETTINGS if name in found and name in names)


def _nearest(known: Sequence[Served], wanted: Served) -> dict[str, str]:
    """Settings to change, by name, for what is served nearest to an encoder's own."""

    def away(way: tuple[Served, int]) -> tuple[bool, bool, int, bool, bool, int]:
        one, own = way
        others = one.usage != wanted.usage, one.four_way != wanted.four_way
        samples = one.chroma != wanted.chroma, one.tune != wanted.tune, abs(one.depth - wanted.depth)
        return *others, abs(own - wanted.speeds[0]), *samples

    ways = [(one, own) for one in known for own in one.speeds]
    if not ways:
        return {}
    one, own = min(ways, key=away)
    values = {
        "chroma": one.chroma, "usage": one.usage, "speed": str(own), "four_way": str(int(one.four_way)),
        "tune": one.tune, "depth": str(one.depth),
    }  # fmt: skip
    usage, four_way, speed, chroma, tune, depth = away((one, own))
    changed = {
        "chroma": chroma, "usage": usage, "speed": speed, "four_way": four_way, "tune": tune, "depth": depth,
    }  # fmt: skip
    return {name: value for name, value in values.items() if changed[name]}
