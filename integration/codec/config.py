"""Settings of one encode, and the nodes that they give a frame."""

from dataclasses import dataclass
from typing import Any

from toolkit.partition import NODE, NODES

USAGES = ("good", "allintra")
NODE_SIZES = NODES
"""Sides of the squares whose partitions can be masked, read and priced: the hook's levels, in order."""


@dataclass(frozen=True)
class EncoderConfig:
    """Settings of one encode; the rest is fixed (one pass, constant quality, no 4-way partitions).

    `keyint`: frames from key frame to key frame at most, 1 for key frames alone. `lag`: frames that libaom looks
    ahead, 0 to 48, and by which packets come later; 0 where every frame is a key frame.
    """

    width: int
    height: int
    bit_depth: int = 8
    cq: int = 32
    cpu_used: int = 1
    usage: str = "good"
    threads: int = 1
    keyint: int = 1
    lag: int = 0

    @property
    def nodes(self) -> tuple[int, int]:
        """Rows and columns of 16x16 nodes, those cut by the frame's edge included."""
        return self.grid(NODE)

    def grid(self, node_size: int) -> tuple[int, int]:
        """Rows and columns of nodes of that size (16 or 32), those cut by the frame's edge included."""
        return -(-self.height // node_size), -(-self.width // node_size)

    @property
    def grids(self) -> dict[int, tuple[int, int]]:
        """`grid` of each node size."""
        return {size: self.grid(size) for size in NODE_SIZES}

    def plane_shape(self, plane: int) -> tuple[int, int]:
        """Height and width of plane 0 (luma), 1 or 2 (chroma, half size rounded up)."""
        return (self.height, self.width) if plane == 0 else ((self.height + 1) // 2, (self.width + 1) // 2)


def encoder_settings(usage: str, cpu_used: int, version: str, threads: int = 1) -> dict[str, Any]:
    """What a manifest records: everything that decides the partitions but cq and the frame itself."""
    fixed = {"passes": 1, "end_usage": "q", "lag_in_frames": 0, "kf_max_dist": 0, "deltaq_mode": 0}
    fixed |= {"enable_1to4_partitions": 0}
    return {"name": "libaom", "version": version, "usage": usage, "cpu_used": cpu_used, "threads": threads} | {
        **fixed,
        "chroma": "4:2:0",
        "all_key_frames": True,
    }
