"""parity.json and what is made from it: sealed, of this bundle, readable, and nothing that was not run reads passed."""

import base64
import io
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.chromium import CHROMIUM
from support.layout import assert_readable
from support.sealed import write_json

from export.bundle.bundle import Bundle
from export.bundle.render import render_html, render_markdown
from export.bundle.report import REPORT_FILES, by_provider, load_report
from export.graph.runtime import RuntimeModel
from export.proof.config import ParityConfig
from export.proof.prove import prove
from toolkit.data.blockset import BlockSet
from toolkit.errors import ToolkitError
from toolkit.files import seal

CPU = ParityConfig(providers=("cpu",), limit=20, batches=(1, 64))


@pytest.fixture
def bundle(exported: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(exported, tmp_path / "bundle"))


@pytest.fixture
def proven(bundle: Path, blockset_8: Path) -> Path:
    prove(bundle, blockset_8, CPU)
    return bundle


def test_an_edited_or_foreign_report_is_refused(proven: Path, blockset_8: Path) -> None:
    file = proven / "parity.json"
    original = json.loads(file.read_text())
    other = {"cpu-fp32": {"status": "fine", "comparisons": 1}}
    for report, message in (
        ({**original, "passed": False}, "was edited"),
        (seal({**original, "profiles": other}), "malformed"),
        (seal({**original, "profiles": {"abacus": original["profiles"]["cpu-fp32"]}}), "malformed"),
        (seal({**original, "providers": {"cuda": original["providers"]["cpu"]}}), "providers are not"),
        (seal({**original, "manifest_sha256": "0" * 64}), "another bundle"),
        (seal({**original, "kind": "x"}), "not a parity report"),
        (seal({**original, "format_version": 1}), "format version 1, this av1part reads 2"),
        (seal({**original, "profiles": []}), "profiles is"),
        ([], "not a parity report"),
    ):
        write_json(file, report)
        with pytest.raises(ToolkitError, match=message):
            Bundle.load(proven)
    # A new proof replaces a damaged report.
    prove(proven, blockset_8, CPU)
    assert Bundle.load(proven).proven("cpu")


@pytest.mark.parametrize("name", REPORT_FILES[1:4])
def test_every_file_of_a_proof_is_sealed(proven: Path, name: str) -> None:
    readable = proven / name
    text = readable.read_bytes()
    readable.write_bytes(text.replace(b"passed", b"PASSED", 1) if b"passed" in text else text + b" ")
    with pytest.raises(ToolkitError, match=re.escape(name)):
        Bundle.load(proven)
    readable.unlink()
    with pytest.raises(ToolkitError, match=re.escape(name)):
        Bundle.load(proven)
    readable.write_bytes(text)
    Bundle.load(proven)
    (proven / "parity.json").unlink()
    with pytest.raises(ToolkitError, match=r"without parity\.json"):
        Bundle.load(proven)


def test_the_readable_files_are_made_from_parity_json(proven: Path) -> None:
    report = load_report(proven, Bundle.load(proven).sha256)
    assert report is not None
    assert render_markdown(report) == (proven / "parity.md").read_text()
    html = (proven / "parity.html").read_text()
    assert render_html(report) == html
    assert "## cpu-fp32: passed" in render_markdown(report)
    assert re.findall(r'(?:src|href)="(?!data:)', html) == []
    assert html.count("<img") == 10


def test_the_page_names_the_bundle_and_says_what_its_pictures_are(proven: Path) -> None:
    html = (proven / "parity.html").read_text()
    assert "<title>Parity passed: stage 2, small, bundle</title>" in html
    assert '<meta name="viewport"' in html
    report = load_report(proven, Bundle.load(proven).sha256)
    assert report is not None
    assert report["bundle"] == {"name": "bundle", "stage": "2", "backbone": "small"}
    w = report["profiles"]["cpu-fp32"]["worst"][0]
    place = f"Luma of {w['source']}, frame {w['frame']}, row {w['row']}, column {w['column']}, qindex {w['qindex']}"
    assert f'alt="{place}: label {w["label"]}, decided {w["decision"]}"' in html
    assert html.count("<caption") == html.count("<table") == 3
    assert re.findall(r"<th(?! scope=)", html.replace("<thead", "")) == []
    for logits in (w["logits"], w["logits_float64"]):
        assert " ".join(f'<span class="number">{v:.3g}</span>' for v in logits) in html


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: the report was not looked at")
def test_the_page_can_be_read_on_a_phone_a_desk_and_paper(proven: Path, tmp_path: Path) -> None:
    assert_readable(proven / "parity.html", tmp_path)


def test_a_report_names_everything_that_it_rests_on(proven: Path, blockset_8: Path) -> None:
    bundle, data = Bundle.load(proven), BlockSet.load(blockset_8)
    assert bundle.report is not None
    result = bundle.report["profiles"]["cpu-fp32"]
    files = bundle.manifest["files"]
    assert result["model_sha256"] == files["model.onnx"]["sha256"]
    assert result["checkpoint_sha256"] == files["checkpoint.pt"]["sha256"]
    assert result["data"]["sha256"] == data.sha256
    assert len({result["data"]["split_sha256"], result["data"]["blocks_sha256"], data.sha256}) == 3
    assert {"python", "torch", "numpy", "onnx", "onnxruntime-gpu"} <= result["versions"].keys()
    assert result["repeatability"]["fresh session"] == {"equal": True, "largest": 0.0}
    batch = result["batches"]["64"]
    assert list(batch["percentiles"].values()) == sorted(batch["percentiles"].values())
    assert np.sqrt(np.mean(np.square(batch["rms_per_class"]))) == pytest.approx(batch["rms"])
    assert max(batch["max_per_class"]) == batch["max"]


def test_the_worst_blocks_are_those_of_the_data(proven: Path, blockset_8: Path) -> None:
    data, bundle = BlockSet.load(blockset_8), Bundle.load(proven)
    assert bundle.report is not None
    result = bundle.report["profiles"]["cpu-fp32"]
    worst = result["worst"]
    assert [w["error"] for w in worst] == sorted((w["error"] for w in worst), reverse=True)
    assert worst[0]["error"] == result["batches"]["64"]["max"]
    for w in worst:
        source = next(i for i, s in enumerate(data.sources) if s["name"] == w["source"])
        luma = data.luma(source)[w["frame"], w["row"] : w["row"] + 16, w["column"] : w["column"] + 16]
        np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(base64.b64decode(w["png"])))), luma)
        exact = sorted(w["logits_float64"])
        assert w["margin"] == pytest.approx(exact[-1] - exact[-2])
        logits = bundle.session().logits(luma[None, None], np.array([w["qindex"]], np.uint8))[0]
        np.testing.assert_allclose(logits, w["logits"], atol=1e-5)


def test_nan_is_said_and_a_name_cannot_become_markup(
    bundle: Path, blockset_8: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = RuntimeModel.one_call
    monkeypatch.setattr(RuntimeModel, "one_call", lambda s, x, q: real(s, x, q) * np.float32(np.nan))
    result = prove(bundle, blockset_8, CPU)["profiles"]["cpu-fp32"]
    assert result["status"] == "failed"
    assert "NaN" in result["reason"]
    assert "not repeatable" in result["reason"]
    report = load_report(bundle, Bundle.load(bundle).sha256)
    assert report is not None
    worst = report["profiles"]["cpu-fp32"]["worst"][0]
    assert worst["logits"] == ["nan"] * 3
    worst["source"] = "<script>alert(1)</script>"
    assert "<script>" not in render_html(report)


def test_providers_are_those_whose_profile_a_pipeline_may_use() -> None:
    passed, absent = {"status": "passed"}, {"status": "not-run"}
    assert by_provider({"cpu-fp32": absent, "cpu-int8": passed}) == {"cpu": passed}
    assert by_provider({"cpu-int8": passed, "cpu-fp32": absent}) == {"cpu": passed}
    both = {"cpu-fp32": {**absent, "reason": "a"}, "cpu-int8": {**absent, "reason": "b"}}
    assert by_provider(both) == by_provider(dict(reversed(both.items())))  # in whatever order a file has them
    # Neither reduced precision nor TensorRT stands for strict CUDA.
    assert by_provider({"cuda-tf32": passed, "cuda-fp16": passed, "tensorrt": passed}) == {}
