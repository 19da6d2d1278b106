"""Settings of a session on the CPU that change numbers, though not meaning: a proof runs through them all. Light."""

from dataclasses import dataclass

LEVELS = ("disabled", "basic", "extended", "all")
"""ONNX Runtime's levels of graph optimisation, each with the passes of those before it."""


@dataclass(frozen=True)
class Deployment:
    """One way to open a session: graph optimisation `level`, threads in an operator, whether they spin as they wait."""

    name: str
    level: str = "all"
    threads: int = 1
    spinning: bool = False
    memory_pattern: bool = True


DEPLOYMENTS = (
    *(Deployment(f"optimisation {level}", level) for level in LEVELS),
    Deployment("2 threads", threads=2),
    Deployment("2 threads that spin", threads=2, spinning=True),
    Deployment("no memory pattern", memory_pattern=False),
)
