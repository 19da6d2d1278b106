"""A pipeline that holds a pruner: masks before the search, decisions inside it, and what does not go together."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.commands import cli, done, fails
from support.libaom import IN_USE
from support.pictures import CHELSEA
from support.pruners import toy_folder, toy_pruner
from support.sealed import edit_manifest, write_json

from integration.codec.encoder import EncoderSettings
from integration.codec.libaom_build import Libraries
from integration.encoding.config import EncodeConfig
from integration.encoding.encode import encode_file
from integration.pipeline.pipeline import Pipeline
from integration.pipeline.pipeline_set import PipelineSet
from integration.pruning.bundle import PrunerBundle
from integration.tuning.fit import Alone, check_room
from toolkit.data.blockset import COST_DTYPE, BlockSet
from toolkit.data.write import Source, write_blockset
from toolkit.errors import ToolkitError
from toolkit.files import seal
from toolkit.partition import INSIDE_LARGER, NONE

ENCODER = EncoderSettings(2).recorded(IN_USE)
CODE = ("--size", "96x64", "--cq", 40, "--cpu-used", 2)
POLICY = tuple(
    word for name in ("drop_split_below", "drop_ab_below", "drop_four_way_below") for word in ("--policy", f"{name}=1")
)


@pytest.fixture(scope="module")
def bundle(exported: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle whose labels came from the libaom in use at cpu-used 2; not proven."""
    path = Path(shutil.copytree(exported, tmp_path_factory.mktemp("bundle") / "bundle"))
    edit_manifest(path, lambda manifest: manifest.update(encoder=ENCODER))
    return path


@pytest.fixture(scope="module")
def pruner(libaom: Libraries, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pruner that never searches a SPLIT of 16x16 nodes."""
    return toy_folder(tmp_path_factory.mktemp("pruner") / "pruner", libaom, toy_pruner([(16, "no_split")], -9, 9))


@pytest.fixture(scope="module")
def pipe(bundle: Path, pruner: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pipe") / "pipe"
    build = ("pipeline", "build", bundle, "--pruner", pruner, "-o", path, "--allow-unproven")
    said = done(*build, *POLICY).stdout
    assert f"pruner inside the search, for libaom {IN_USE}, good, cpu-used 2: price 0.05" in said
    return path


@pytest.fixture(scope="module")
def masks(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same pipeline without the pruner."""
    path = tmp_path_factory.mktemp("masks") / "masks"
    done("pipeline", "build", bundle, "-o", path, "--allow-unproven", *POLICY)
    return path


def encoded(output: Path, *words: object) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(done("encode", CHELSEA, "-o", output, *CODE, *words, "--json").stdout)
    return found


def test_one_pipeline_masks_and_prunes_as_both_given_apart(
    pipe: Path, masks: Path, pruner: Path, tmp_path: Path
) -> None:
    both = encoded(tmp_path / "both.ivf", "--pipeline", pipe)
    assert both["masked_blocks"] > 0
    assert both["decisions"]["no_split_16"]["skipped"] > 0
    apart = encoded(tmp_path / "apart.ivf", "--pipeline", masks, "--pruner", pruner)
    encoded(tmp_path / "masks.ivf", "--pipeline", masks)
    assert both["decisions"] == apart["decisions"]
    files = {name: (tmp_path / f"{name}.ivf").read_bytes() for name in ("both", "apart", "masks")}
    assert files["both"] == files["apart"] != files["masks"]
    encoded(tmp_path / "free.ivf", "--pipeline", pipe, "--price", "1e-30")
    assert (tmp_path / "free.ivf").read_bytes() == files["masks"]
    again = encode_file(
        CHELSEA, tmp_path / "py.ivf", EncodeConfig(cq=40, cpu_used=2, size=(96, 64)), Pipeline.load(pipe)
    )
    assert (tmp_path / "py.ivf").read_bytes() == files["both"]
    assert again.to_dict()["decisions"] == both["decisions"]


def test_a_pruner_given_as_pipeline_is_one_given_as_pruner(pruner: Path, masks: Path, tmp_path: Path) -> None:
    for name, option in (("a", "--pipeline"), ("b", "--pruner")):
        assert encoded(tmp_path / f"{name}.ivf", option, pruner)["decisions"]
        assert encoded(tmp_path / f"zoo-{name}.ivf", option, "photo-8bit")["decisions"]
    assert (tmp_path / "a.ivf").read_bytes() == (tmp_path / "b.ivf").read_bytes()
    assert (tmp_path / "zoo-a.ivf").read_bytes() == (tmp_path / "zoo-b.ivf").read_bytes()
    mixed = encoded(tmp_path / "mixed.ivf", "--pipeline", masks, "--pipeline", pruner)
    assert mixed["masked_blocks"] > 0
    assert mixed["decisions"]
    bench = ("bench", "encoder", CHELSEA, "--pipeline", pruner, "-o", tmp_path / "bench", "--size", "96x64")
    said = " ".join(done(*bench, "--presets", 2, "--masked", 2, "--repeats", 1).stdout.split())
    report = json.loads((tmp_path / "bench/report.json").read_text())
    native, arm = report["arms"]
    assert (native["name"], arm["name"]) == ("native at 2", "pruner 0.05 at 2")
    assert f"pruner 0.05 at 2: the pruner skipped at {arm['skipped']:,} of {arm['asked']:,} decisions." in said


def test_a_card_promises_nothing_of_its_pruner_beside_masks(masks: Path, tmp_path: Path) -> None:
    words = ("encode", CHELSEA, "-o", tmp_path / "out.ivf", *CODE, "--pruner", "photo-8bit", "--json")
    told = done(*words, "--pipeline", masks)
    assert "The card of photo-8bit says nothing of what it gives beside masks." in told.stderr
    assert "expected" not in told.stderr
    assert json.loads(told.stdout)["expected_saving"] is None
    alone = done(*words, "--overwrite")
    assert json.loads(alone.stdout)["expected_saving"] > 0


def test_two_pruners_are_one_too_many(pipe: Path, pruner: Path, masks: Path, tmp_path: Path) -> None:
    encode = ("encode", CHELSEA, "-o", tmp_path / "out.ivf", *CODE)
    fails(cli(*encode, "--pipeline", pipe, "--pruner", "photo-8bit"), "a second pruner; the pipeline holds one")
    fails(cli(*encode, "--pipeline", pruner, "--pruner", "photo-8bit"), "two pruners. An encode has one")
    assert encoded(tmp_path / "same.ivf", "--pipeline", pipe, "--pruner", pruner)["decisions"]
    assert cli(*encode, "--pipeline", masks, "--price", "0.1").exit_code == 2
    assert not (tmp_path / "out.ivf").exists()
    alone = cli("pipeline", "build", "--pruner", pruner, "-o", tmp_path / "p")
    assert alone.exit_code == 2
    assert "A pruner alone is a pipeline already" in alone.stderr


@pytest.mark.parametrize(
    ("encoder", "expected"),
    [
        ({"version": "3.11.0"}, f"version is '3.11.0' there and '{IN_USE}' of the stages"),
        ({"usage": "allintra"}, "usage is 'allintra' there"),
        ({"cpu_used": 3}, "cpu_used is 3 there and 2 of the stages"),
        ({"enable_1to4_partitions": 0}, "enable_1to4_partitions is 0 there and 1 of the stages"),
    ],
)
def test_a_pruner_of_another_encoder_than_the_stages_is_refused(
    libaom: Libraries, bundle: Path, pipe: Path, tmp_path: Path, encoder: dict[str, Any], expected: str
) -> None:
    other = toy_folder(tmp_path / "other", libaom, toy_pruner([(16, "stop")], 0, 0), **encoder)
    build = ("pipeline", "build", bundle, "--pruner", other, "-o", tmp_path / "pipe", "--allow-unproven")
    fails(cli(*build), expected)
    assert not (tmp_path / "pipe").exists()
    forged = Path(shutil.copytree(pipe, tmp_path / "forged"))
    shutil.rmtree(forged / "pruner")
    shutil.copytree(other, forged / "pruner")
    edit_manifest(forged, lambda manifest: manifest.update(pruner=PrunerBundle.load(other).sha256))
    with pytest.raises(ToolkitError, match=expected):
        Pipeline.load(forged)


def test_stages_of_an_unknown_encoder_take_no_pruner(exported: Path, pruner: Path, tmp_path: Path) -> None:
    build = ("pipeline", "build", exported, "--pruner", pruner, "-o", tmp_path / "pipe", "--allow-unproven")
    fails(cli(*build), f"version is '{IN_USE}' there and 'not recorded' of the stages")


def test_a_pruner_that_was_changed_or_does_not_belong_is_refused(
    libaom: Libraries, pipe: Path, masks: Path, pruner: Path, tmp_path: Path
) -> None:
    def fresh(name: str, of: Path = pipe) -> Path:
        return Path(shutil.copytree(of, tmp_path / name))

    def refused(path: Path, said: str) -> None:
        fails(cli("pipeline", "info", path), said)

    other = toy_folder(tmp_path / "other", libaom, toy_pruner([(16, "stop")], 0, 0))
    exchanged, changed, gone, added = (fresh(n) for n in ("exchanged", "changed", "gone", "added"))
    shutil.rmtree(exchanged / "pruner")
    shutil.copytree(other, exchanged / "pruner")
    refused(exchanged, "is not the pruner that the pipeline was built with")
    with (changed / "pruner/pruner.bin").open("ab") as file:
        file.write(b"x")
    refused(changed, "pruner.bin: changed")
    shutil.rmtree(gone / "pruner")
    refused(gone, "no such folder")
    (added / "pruner/card.json").write_text("{}")
    refused(added, "'pruner/card.json' does not belong")
    unnamed = fresh("unnamed", masks)
    shutil.copytree(pruner, unnamed / "pruner")
    refused(unnamed, "'pruner' does not belong")
    table = fresh("table")
    manifest = json.loads((table / "pruner/manifest.json").read_text())
    manifest["features"][0]["name"] = "another"
    write_json(table / "pruner/manifest.json", seal(manifest))
    edit_manifest(table, lambda own: own.update(pruner=seal(manifest)["sha256"]))
    refused(table, "made for another table of features")


def test_info_says_what_a_pipeline_holds(pipe: Path, masks: Path) -> None:
    said = done("pipeline", "info", pipe).stdout
    assert "stages 2 of 16x16 nodes" in said
    assert "drop_ab_below 1" in said
    assert "pruner inside the search" in said
    assert json.loads(done("pipeline", "info", pipe, "--json").stdout)["pruner"]
    assert "pruner" not in done("pipeline", "info", masks).stdout


def test_pipelines_of_two_node_sizes_share_one_pruner_at_most(pipe: Path, libaom: Libraries, tmp_path: Path) -> None:
    one = Pipeline.load(pipe)
    assert PipelineSet([one]).pruner == one.pruner
    other = toy_folder(tmp_path / "other", libaom, toy_pruner([(16, "stop")], 0, 0))

    class Larger(Pipeline):
        node = 32  # type: ignore[assignment]

    def larger(pruner: PrunerBundle | None) -> Pipeline:
        return Larger(Path("larger"), one.manifest, {}, one.cascade, one.policy, pruner)

    assert PipelineSet([larger(None), one]).pruner == one.pruner
    assert PipelineSet([larger(one.pruner), one]).pruner == one.pruner
    with pytest.raises(ToolkitError, match="two pruners"):
        PipelineSet([larger(PrunerBundle.load(other)), one])


def test_the_benchmark_s_arm_of_a_pipeline_prunes_too(pipe: Path, masks: Path, tmp_path: Path) -> None:
    words = ("--presets", 2, "--masked", 2, "--repeats", 1, "--cq", "25,40,55", "--size", "96x64", "--json")

    def arms(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
        bench = ("bench", "encoder", CHELSEA, "--pipeline", path, "-o", tmp_path / "bench")
        report = json.loads(done(*bench, *words).stdout)
        return {arm["kind"]: arm for arm in report["arms"]}, report["pipelines"][0]

    both, about = arms(pipe)
    assert both["pipeline"]["skipped"] > 0
    assert both["pipeline"]["masked_nodes"] > 0
    assert (both["native"]["asked"], about["price"]) == (0, 0.05)
    assert "pruner" in (tmp_path / "bench/index.html").read_text()
    alone, about = arms(masks)
    assert alone["pipeline"]["asked"] == 0
    assert about["pruner"] is None
    assert alone["pipeline"]["bytes"] != both["pipeline"]["bytes"]


def test_a_fit_counts_the_pruner_s_loss_and_keeps_it(pipe: Path, blockset_8: Path, tmp_path: Path) -> None:
    fit = ("policy", "fit", pipe, "--data", costs(blockset_8, tmp_path / "costs"), "--clips", CHELSEA)
    fit = (*fit, "--size", "128x96", "--cq", "25,40,55", "--ranges", "255", "--checks", 1, "-o", tmp_path / "fitted")
    fit = (*fit, "--allow-loss")  # what so few pixels take by the clock says nothing
    fails(cli(*fit, "--target-loss", "0.0001"), "The pipeline's pruner alone costs", "no room for masks")
    found = json.loads(done(*fit, "--target-loss", "50", "--json").stdout)
    assert found["pruner_alone"]["loss"] > 0
    fitted = Pipeline.load(tmp_path / "fitted")
    assert fitted.pruner
    assert fitted.pruner.sha256 == Pipeline.load(pipe).manifest["pruner"] == fitted.manifest["pruner"]
    assert fitted.manifest["policy_fit"]["pruner_alone"] == found["pruner_alone"]
    check_room(None, 0.1)
    check_room(Alone(0.05, 20), 0.1)


def costs(path: Path, output: Path) -> Path:
    """The same data set, of the bundle's encoder, with costs: all but the label 5% dearer."""
    data = BlockSet.load(path)
    sources = [
        Source(s["name"], s["split"], s["sha256"], np.array(data.luma(k)), licence="CC0-1.0", origin="synthetic")
        for k, s in enumerate(data.sources)
    ]
    found = np.zeros(len(data.blocks), COST_DTYPE)
    found["rd"], found["seconds"] = 105, 1e-3
    label = np.where(data.blocks["partition"] == INSIDE_LARGER, NONE, data.blocks["partition"])
    found["rd"][np.arange(len(found)), label] = 100
    write_blockset(output, sources, data.blocks, data.bit_depth, ENCODER, costs=found)
    return output
