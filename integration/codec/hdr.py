"""Static HDR metadata: the display that a clip was mastered on, and how bright its content is."""

import struct
from dataclasses import dataclass
from fractions import Fraction

CONTENT_LIGHT_LEVEL, MASTERING_DISPLAY = 1, 2
"""AV1's metadata_type of HDR_CLL and HDR_MDCV."""

Point = tuple[Fraction, Fraction]
"""Chromaticity x and y of CIE 1931."""


@dataclass(frozen=True)
class Mastering:
    """Colour volume of the mastering display (SMPTE ST 2086); luminances in cd/m²."""

    red: Point
    green: Point
    blue: Point
    white: Point
    brightest: Fraction
    darkest: Fraction

    def payload(self) -> bytes:
        """The 24 bytes of AV1's metadata_hdr_mdcv: chromaticities in 1/65536, luminances in 1/256 and 1/16384."""
        points = [_fixed(value, 16, 0xFFFF) for point in self.points for value in point]
        luminances = _fixed(self.brightest, 8, 0xFFFFFFFF), _fixed(self.darkest, 14, 0xFFFFFFFF)
        return struct.pack(">8H2I", *points, *luminances)

    @property
    def points(self) -> tuple[Point, Point, Point, Point]:
        """Red, green, blue and white."""
        return self.red, self.green, self.blue, self.white


@dataclass(frozen=True)
class LightLevel:
    """Brightest pixel and brightest frame average of a clip (CTA-861.3: MaxCLL, MaxFALL), in cd/m²; 0 is unknown."""

    brightest: int
    average: int

    def payload(self) -> bytes:
        """The 4 bytes of AV1's metadata_hdr_cll."""
        return struct.pack(">2H", min(self.brightest, 0xFFFF), min(self.average, 0xFFFF))


@dataclass(frozen=True)
class Hdr:
    """What a clip says of itself; None where it says nothing."""

    mastering: Mastering | None = None
    light: LightLevel | None = None

    def payloads(self) -> dict[int, bytes]:
        """Contents of the metadata OBUs by metadata_type."""
        found = {CONTENT_LIGHT_LEVEL: self.light, MASTERING_DISPLAY: self.mastering}
        return {kind: own.payload() for kind, own in found.items() if own}


NO_HDR = Hdr()


def _fixed(value: Fraction, bits: int, most: int) -> int:
    """A number with so many bits after the point, kept within 0 and `most`."""
    return min(max(round(value * (1 << bits)), 0), most)
