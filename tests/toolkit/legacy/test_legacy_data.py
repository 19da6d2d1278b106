from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from toolkit.cli.main import main
from toolkit.data.blockset import BlockSet
from toolkit.errors import ToolkitError
from toolkit.legacy.pt import find_scaling

RNG = np.random.default_rng(1)
LUMA = RNG.integers(0, 1024, (40, 16, 16)).astype("<u2")
LABELS = np.arange(40) % 8
QPS = np.array([22, 27, 32, 200])[np.arange(40) % 4]


def import_(kind: str, source: Path, output: Path, *options: str) -> Result:
    return CliRunner().invoke(main, ["data", "import", "--format", kind, str(source), "-o", str(output), *options])


def message(run: Result) -> str:
    assert run.exit_code == 1, run.output
    assert isinstance(run.exception, SystemExit), run.exception
    return " ".join(run.stderr.split())


def triplet(root: Path, name: str, luma: Any = LUMA, labels: Any = LABELS, qps: Any = QPS, join: str = "\n") -> None:
    for folder, file, data in (
        ("intra_raw_blocks", f"{name}_sample_16.txt", luma.tobytes()),
        ("labels", f"{name}_labels_16_intra.txt", join.join(map(str, labels)).encode()),
        ("qps", f"{name}_qps_16_intra.txt", join.join(map(str, qps)).encode()),
    ):
        (root / folder).mkdir(parents=True, exist_ok=True)
        (root / folder / file).write_bytes(data)


def test_triplets_keep_every_number_and_make_each_sequence_a_source(tmp_path: Path) -> None:
    names = ("Beauty_3840x2160", "Bosphorus_3840x2160", "HoneyBee_1920x1080", "Jockey_1920x1080")
    for i, name in enumerate(names):
        triplet(tmp_path / "src", name, luma=np.roll(LUMA, i), join=(" ", "\n", ", ", "\n")[i])
    run = import_("triplets", tmp_path / "src", tmp_path / "data", "--licence", "CC-BY-NC-3.0")
    assert run.exit_code == 0, run.output
    data = BlockSet.load(tmp_path / "data")
    assert [s["name"] for s in data.sources] == list(names)
    assert {s["split"] for s in data.sources} == {"train", "val", "test"}
    assert {s["licence"] for s in data.sources} == {"CC-BY-NC-3.0"}
    for i in range(4):
        blocks = data.take(np.flatnonzero(data.blocks["source"] == i))
        assert np.array_equal(blocks.luma[:, 0], np.roll(LUMA, i))
        assert blocks.partition.tolist() == LABELS.tolist()
        assert blocks.qindex.tolist() == QPS.tolist()
    assert data.manifest["encoder"]["imported"]["split_by"] == "sequence"


def test_triplets_split_by_a_table_of_sequences(tmp_path: Path) -> None:
    triplet(tmp_path / "src", "a")
    triplet(tmp_path / "src", "b", luma=LUMA[::-1])
    (tmp_path / "s.tsv").write_text("a\tval\nb\ttest\n")
    assert import_("triplets", tmp_path / "src", tmp_path / "d", "--split", str(tmp_path / "s.tsv")).exit_code == 0
    assert [s["split"] for s in BlockSet.load(tmp_path / "d").sources] == ["val", "test"]


def test_another_label_order_is_translated_and_only_when_told(tmp_path: Path) -> None:
    triplet(tmp_path / "src", "a", labels=[0, 1, 2, 3] * 10)
    order = "NONE,SPLIT,HORZ,VERT"
    assert import_("triplets", tmp_path / "src", tmp_path / "d", "--label-order", order).exit_code == 0
    assert BlockSet.load(tmp_path / "d").blocks["partition"].tolist() == [0, 3, 1, 2] * 10
    triplet(tmp_path / "src", "a", labels=[0, 1, 2, 4] * 10)
    assert "labels run from 0 to 4, expected 0 to 3" in message(
        import_("triplets", tmp_path / "src", tmp_path / "e", "--label-order", order)
    )
    assert "AV1 names" in message(import_("triplets", tmp_path / "src", tmp_path / "e", "--label-order", "NONE,NONE"))


def test_quantizer_steps_become_qindexes_and_are_suspected(tmp_path: Path) -> None:
    triplet(tmp_path / "src", "a", qps=[0, 20, 62, 63] * 10)
    run = import_("triplets", tmp_path / "src", tmp_path / "d")
    assert "look like quantizer steps" in " ".join(run.stderr.split())
    assert import_("triplets", tmp_path / "src", tmp_path / "e", "--qps", "quantizer").exit_code == 0
    assert BlockSet.load(tmp_path / "e").blocks["qindex"].tolist() == [0, 80, 249, 255] * 10


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"luma": LUMA.astype(">u2")}, "Byte-swapped it would fit"),
        ({"luma": LUMA[:, :15]}, "expected a multiple of 512"),
        ({"luma": LUMA[:0]}, "0 bytes"),
        ({"luma": LUMA + 1}, "values reach 1024"),
        ({"luma": LUMA[:39]}, "40 numbers for 39 blocks"),
        ({"labels": LABELS[:39]}, "39 numbers for 40 blocks"),
        ({"labels": [10, *LABELS[1:]]}, "labels run from 0 to 10"),
        ({"labels": [-1, *LABELS[1:]]}, "labels run from -1"),
        ({"labels": [255, *LABELS[1:]]}, "labels run from 0 to 255"),
        ({"labels": ["nan", *LABELS[1:]]}, "expected whole numbers"),
        ({"qps": [256, *QPS[1:]]}, "qps run from 22 to 256"),
        ({"qps": [-1, *QPS[1:]]}, "qps run from -1"),
        ({"qps": [22.5, *QPS[1:]]}, "expected whole numbers"),
    ],
)
def test_triplets_that_are_refused(tmp_path: Path, change: dict[str, Any], expected: str) -> None:
    triplet(tmp_path / "src", "a", **change)
    assert expected in message(import_("triplets", tmp_path / "src", tmp_path / "d"))
    assert [f.name for f in tmp_path.iterdir()] == ["src"]


def test_triplets_with_parts_missing(tmp_path: Path) -> None:
    assert "no <sequence>_sample_16.txt" in message(import_("triplets", tmp_path, tmp_path / "d"))
    triplet(tmp_path / "src", "a")
    (tmp_path / "src/qps/a_qps_16_intra.txt").unlink()
    assert "a_qps_16_intra.txt: missing" in message(import_("triplets", tmp_path / "src", tmp_path / "d"))


def samples(luma: np.ndarray, *divisors: float) -> torch.Tensor:
    x = luma.astype(np.float32)[:, None]
    for d in divisors:
        x = x / np.float32(d)
    return torch.from_numpy(x)


def save_pt(root: Path, name: str, x: Any, **change: Any) -> None:
    root.mkdir(exist_ok=True)
    content = {"samples": x, "labels_stage0": torch.tensor(LABELS), "qps": torch.tensor(QPS)} | change
    torch.save({k: v for k, v in content.items() if v is not None}, root / f"{name}.pt")


@pytest.mark.parametrize(
    ("luma", "divisors", "bit_depth"),
    [(LUMA, (1023,), 10), (LUMA, (1023, 1023), 10), (LUMA % 256, (255,), 8)],
)
def test_pt_scaling_is_found_and_undone_exactly(
    tmp_path: Path, luma: np.ndarray, divisors: tuple[float, ...], bit_depth: int
) -> None:
    save_pt(tmp_path / "src", "train", samples(luma, *divisors))
    save_pt(tmp_path / "src", "val", samples(luma[::-1], *divisors))
    run = import_("pt", tmp_path / "src", tmp_path / "d")
    assert run.exit_code == 0, run.output
    assert "split by block" in run.stderr
    data = BlockSet.load(tmp_path / "d")
    assert data.bit_depth == bit_depth
    assert [(s["name"], s["split"]) for s in data.sources] == [("train", "train"), ("val", "val")]
    assert np.array_equal(data.split_blocks("train").luma[:, 0], luma)
    assert data.split_blocks("val").partition.tolist() == LABELS.tolist()
    imported = data.manifest["encoder"]["imported"]
    assert imported["split_by"] == "block"
    assert "split by block" in CliRunner().invoke(main, ["data", "info", str(tmp_path / "d")]).stdout


@given(st.integers(0, 2**32), st.sampled_from([(1023.0,), (1023.0, 1023.0)]), st.booleans())
def test_any_10_bit_block_survives_its_scaling(seed: int, divisors: tuple[float, ...], multiplied: bool) -> None:
    luma = np.random.default_rng(seed).integers(0, 1024, (3, 16, 16))
    x = samples(luma)
    for d in divisors:
        x = x * np.float32(1 / d) if multiplied else x / d
    _, divisor, bit_depth = find_scaling(x, "x")
    assert np.array_equal(np.rint(x[:, 0].numpy().astype(np.float64) * divisor), luma)
    assert bit_depth == 10


@given(st.integers(0, 39 * 256), st.floats(0.01, 0.99))
def test_a_single_value_between_code_values_is_enough_to_refuse(at: int, part: float) -> None:
    x = samples(LUMA, 1023)
    x.view(-1)[at] = float((LUMA.reshape(-1)[at] + part) / 1023)
    with pytest.raises(ToolkitError, match="cannot tell how luma was scaled"):
        find_scaling(x, "x")


NORMALISED = torch.from_numpy(((LUMA / 1023 - 0.45) / 0.22).astype(np.float32)[:, None])


@pytest.mark.parametrize(
    ("x", "change", "expected"),
    [
        (NORMALISED, {}, "cannot tell how luma was scaled. Values so far run from -2.0"),
        (samples(LUMA), {}, "cannot tell how luma was scaled. Values so far run from 0 to 1023"),
        (samples(LUMA, 1023) * torch.nan, {}, "NaN or infinity"),
        (torch.zeros(40, 1, 16, 16), {}, "fits divided by 1023 as well as divided by 1023 twice"),
        (samples(LUMA, 1023).double(), {}, "torch.float64"),
        (samples(LUMA, 1023)[:, 0], {}, "expected float32 (N, 1, 16, 16)"),
        (samples(LUMA, 1023)[:0], {"labels_stage0": torch.tensor([]), "qps": torch.tensor([])}, "no samples"),
        (samples(LUMA, 1023), {"qps": None}, "found samples, labels_stage0"),
        (samples(LUMA, 1023), {"qps": torch.tensor(QPS) / 255}, "qps is float32(40,), expected 40 whole numbers"),
        (samples(LUMA, 1023), {"labels_stage0": torch.tensor(LABELS[:39])}, "expected 40 whole numbers"),
        (samples(LUMA, 1023), {"labels_stage0": torch.tensor(LABELS + 3)}, "labels run from 3 to 10"),
        (samples(LUMA, 1023), {"qps": torch.tensor(QPS + 56)}, "qps run from 78 to 256"),
    ],
)
def test_pt_files_that_are_refused(tmp_path: Path, x: torch.Tensor, change: dict[str, Any], expected: str) -> None:
    save_pt(tmp_path / "src", "train", x, **change)
    assert expected in message(import_("pt", tmp_path / "src", tmp_path / "d"))
    assert [f.name for f in tmp_path.iterdir()] == ["src"]


class Hostile:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return (exec, ("raise SystemExit(99)",))


def test_pt_files_cannot_run_code_and_damaged_ones_are_named(tmp_path: Path) -> None:
    save_pt(tmp_path / "src", "train", samples(LUMA, 1023), more=Hostile())
    assert "not loadable as plain tensors" in message(import_("pt", tmp_path / "src", tmp_path / "d"))
    save_pt(tmp_path / "src", "train", samples(LUMA, 1023))
    file = tmp_path / "src/train.pt"
    file.write_bytes(file.read_bytes()[:5000])
    assert "train.pt: not loadable" in message(import_("pt", tmp_path / "src", tmp_path / "d"))
    assert "neither train.pt nor val.pt" in message(import_("pt", tmp_path, tmp_path / "d"))


def test_pt_files_of_different_depths_are_refused(tmp_path: Path) -> None:
    save_pt(tmp_path / "src", "train", samples(LUMA, 1023))
    save_pt(tmp_path / "src", "val", samples(LUMA % 256, 255))
    assert "different bit depths" in message(import_("pt", tmp_path / "src", tmp_path / "d"))
