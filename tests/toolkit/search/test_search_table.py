"""The list of features, decisions and stages, and the C header made of it."""

import subprocess
from pathlib import Path

import pytest
from support.places import ROOT

from toolkit.search import header, table


def test_the_header_in_c_is_the_one_that_is_made_of_the_list() -> None:
    assert (ROOT / header.HEADER).read_text() == header.c_header()


@pytest.mark.parametrize("kind", table.FRAME_KINDS)
def test_features_are_sorted_by_point_and_named_once(kind: str) -> None:
    features = table.TABLES[kind]
    points = [feature.point for feature in features]
    assert points == sorted(points)
    assert set(points) == set(range(len(table.POINTS)))
    assert len({feature.name for feature in features}) == len(features)


def test_inter_frames_know_all_that_key_frames_do_in_the_same_order_and_more() -> None:
    assert tuple(table.FEATURES[i] for i in table.IN_KEY_FRAMES) == table.TABLES["key"]
    assert len(table.FEATURES) > len(table.TABLES["key"])


def test_c_counts_and_numbers_everything_as_python_does(tmp_path: Path) -> None:
    """A wrong number is a negative array size, which no compiler takes."""
    numbers = {f"AV1PART_FEATURE_{f.name.upper()}": i for i, f in enumerate(table.FEATURES)}
    numbers |= {f"AV1PART_STAGE_{name.upper()}": i for i, name in enumerate(table.STAGES)}
    numbers |= {f"AV1PART_{name.upper()}": i for i, name in enumerate(table.DECISIONS)}
    numbers |= {f"AV1PART_POINT_{name.upper()}": i for i, name in enumerate(table.POINTS)}
    lists = {"FEATURES": table.FEATURES, "DECISIONS": table.DECISIONS, "STAGES": table.STAGES, "SQUARES": table.SIDES}
    lists["INTRA_FEATURES"] = table.TABLES["key"]
    numbers |= {f"AV1PART_{name}": len(values) for name, values in lists.items()}
    source = tmp_path / "numbers.c"
    checks = [f'_Static_assert({name} == {number}, "{name}");' for name, number in numbers.items()]
    source.write_text("\n".join([f'#include "{ROOT / header.HEADER}"', *checks, ""]))
    subprocess.run(["cc", "-std=c11", "-fsyntax-only", str(source)], check=True)
