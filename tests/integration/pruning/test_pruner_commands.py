"""From photographs to a pruned encode by commands alone, and what each of them refuses."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.commands import cli, done, fails
from support.pictures import CHELSEA
from support.pruners import record_of
from support.sealed import write_json

from integration.codec.libaom_build import Libraries
from integration.pruning.bundle import GRAPH, NATIVE, PrunerBundle
from integration.pruning.config import FitConfig
from integration.recording import recorder
from integration.tuning.price import PRICES, PriceTrial, choose_price
from toolkit.errors import ToolkitError
from toolkit.files import seal
from toolkit.pruners.learn import learn
from toolkit.pruners.record import doubts


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Crops of the cat, each a source of its own."""
    folder = tmp_path_factory.mktemp("photographs")
    paths = []
    with Image.open(CHELSEA) as cat:
        for index in range(6):
            left, top = index % 3 * 100, index // 3 * 90
            paths.append(folder / f"crop{index}.png")
            cat.crop((left, top, left + 160, top + 144)).save(paths[-1])
    return paths


@pytest.fixture(scope="module")
def record(photographs: list[Path], libaom: Libraries, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return record_of(photographs, tmp_path_factory.mktemp("record"), cpu_used=1)


@pytest.fixture(scope="module")
def pruner(record: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pruner") / "pruner"
    result = done("pruner", "fit", record, "-o", path, "--epochs", "4", "--price", "0.1", "--sides", "8,16")
    assert "C equal to the bit" in result.output
    return path


@pytest.mark.parametrize(
    ("splits", "says"),
    [
        ({"train": 12, "val": 2, "test": 1}, []),
        ({"train": 1, "val": 1}, ["no source is in the test split", "only 1 source is in the train split"]),
        ({"train": 2}, ["no source is in the val and the test split", "only 2 sources are in the train split"]),
        ({"val": 1, "test": 1}, ["no source is in the train split"]),
    ],
)
def test_a_record_of_few_sources_raises_doubts(splits: dict[str, int], says: list[str]) -> None:
    found = doubts([split for split, count in splits.items() for _ in range(count)])
    assert len(found) == len(says)
    for sentence, part in zip(found, says, strict=True):
        assert part in sentence


@pytest.mark.usefixtures("libaom")
def test_too_few_sources_are_warned_of_before_recording_and_refused_before_learning(
    photographs: list[Path], tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("integration.recording.recorder.code_pieces", lambda *words: caplog.messages.append("coding"))
    words = ("record", *photographs[:2], "-o", tmp_path / "set", "--size", "source", "--cpu-used", "6", "--cq", "55")
    cli(*words)
    assert "no source is in the test split, and `fit` needs one in each" in caplog.messages[0]
    assert "only 1 source is in the train split" in caplog.messages[1]
    monkeypatch.undo()
    done(*words, "--share", "0.2", "--jobs", "1")
    monkeypatch.setattr("integration.pruning.fit.learn", lambda *words: pytest.fail("it learns first"))
    fails(cli("fit", tmp_path / "set", photographs[2], "-o", tmp_path / "pruner"), "no source is in the test split")


def test_a_pruner_says_what_it_learnt_from_and_what_was_compared(pruner: Path, record: Path) -> None:
    manifest = json.loads(done("pruner", "info", pruner, "--json").output)
    assert manifest["proof"]["passed"]
    assert manifest["proof"]["rows"] > 100
    assert {c["native_differs"] for c in manifest["proof"]["comparisons"]} == {0}
    assert len(manifest["learnt"]["train_sources"]) == 4
    assert manifest["learnt"]["record_sha256"] == json.loads((record / "manifest.json").read_text())["sha256"]
    assert manifest["encoder"]["enable_1to4_partitions"] == 1
    assert all(own["skipped"] <= own["asked"] for own in manifest["validation"].values())


@pytest.mark.parametrize("threads", [1, 2])
def test_an_encode_with_a_pruner_counts_decisions_and_repeats(
    pruner: Path, photographs: list[Path], tmp_path: Path, threads: int
) -> None:
    reports = []
    for name in ("a.ivf", "b.ivf"):
        words = ("--pruner", pruner, "--cpu-used", "1", "--cq", "40", "--threads", threads, "--json")
        reports.append(json.loads(done("encode", photographs[5], "-o", tmp_path / name, *words).output))
    assert (tmp_path / "a.ivf").read_bytes() == (tmp_path / "b.ivf").read_bytes()
    decisions = reports[0]["decisions"]
    assert decisions == reports[1]["decisions"]
    assert sum(own["skipped"] for own in decisions.values()) > 0
    plain = json.loads(
        done(
            "encode",
            photographs[5],
            "-o",
            tmp_path / "c.ivf",
            "--no-pipeline",
            "--cpu-used",
            "1",
            "--cq",
            "40",
            "--json",
        ).output
    )
    assert plain["decisions"] == {}
    free = ("--pruner", pruner, "--price", "1e-30", "--cpu-used", "1", "--cq", "40", "--threads", threads)
    result = done("encode", photographs[5], "-o", tmp_path / "d.ivf", *free)
    assert "pruner, stop: 0 of" in result.output
    if threads == 1:
        assert (tmp_path / "c.ivf").read_bytes() == (tmp_path / "d.ivf").read_bytes()


def test_the_benchmark_has_an_arm_a_price_and_refuses_what_was_trained_on(
    pruner: Path, photographs: list[Path], tmp_path: Path
) -> None:
    words = ("--pruner", pruner, "--presets", "1,2", "--masked", "1", "--repeats", "1", "--cq", "25,40,55", "--json")
    report = json.loads(done("bench", "encoder", photographs[5], "-o", tmp_path, *words, "--prices", "0.02,0.5").stdout)
    assert [arm["name"] for arm in report["arms"]] == [
        "native at 1",
        "native at 2",
        "pruner 0.02 at 1",
        "pruner 0.5 at 1",
    ]
    fails(cli("bench", "encoder", photographs[0], "-o", tmp_path / "x", *words), "the pruner was trained on it")
    assert cli("bench", "encoder", photographs[5], "-o", tmp_path, *words, "--prices", "0,1").exit_code == 2


def test_a_pruner_of_other_settings_is_refused(pruner: Path, photographs: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "out.ivf"
    encode = ("encode", photographs[5], "-o", out, "--pruner", pruner)
    fails(cli(*encode, "--no-4way"), "enable_1to4_partitions was 1 in its record, 0 here")
    fails(cli(*encode, "--usage", "allintra"), "usage was 'good' in its record, 'allintra' here")
    assert "Warning" not in done(*encode, "--cpu-used", "1").stderr
    faster = done(*encode, "--cpu-used", "3", "--overwrite")
    assert "learnt at cpu-used 1, this encode has 3: what it gives there is unmeasured" in " ".join(
        faster.stderr.split()
    )
    out.unlink()
    bench = ("bench", "encoder", photographs[5], "-o", tmp_path / "bench", "--pruner", pruner, "--usage", "allintra")
    fails(cli(*bench), "usage was 'good' in its record")
    assert not (tmp_path / "bench" / "measurements.jsonl").exists()  # refused before anything is encoded
    fails(cli(*encode, "--price", "-1"), "Price -1.0", "expected numbers above 0")
    deep = tmp_path / "deep.yuv"
    deep.write_bytes(np.full(64 * 64 * 3 // 2, 500, "<u2").tobytes())
    done("encode", deep, "-o", out, "--raw", "64x64:10", "--pruner", pruner)  # one pruner serves both bit depths


def test_a_changed_pruner_is_refused(pruner: Path, photographs: list[Path], tmp_path: Path) -> None:
    def changed(name: str) -> Path:
        shutil.copytree(pruner, tmp_path / name)
        return tmp_path / name

    for file in (NATIVE, GRAPH):
        folder = changed(file)
        data = bytearray((folder / file).read_bytes())
        data[len(data) // 2] ^= 1
        (folder / file).write_bytes(data)
        fails(cli("pruner", "info", folder), f"{file}: changed")
    folder = changed("unproven")
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["proof"]["passed"] = False
    write_json(folder / "manifest.json", manifest)
    fails(cli("pruner", "info", folder), "was edited")
    write_json(folder / "manifest.json", seal(manifest))
    fails(cli("pruner", "info", folder), "not proven to decide alike")
    folder = changed("table")
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["features"][3]["name"] = "another"
    write_json(folder / "manifest.json", seal(manifest))
    assert PrunerBundle.load(folder).price == 0.1
    encode = ("encode", photographs[5], "-o", tmp_path / "o.ivf", "--pruner", folder)
    fails(cli(*encode), "another table of features")
    manifest["features"][3] = {"strange": 1}
    write_json(folder / "manifest.json", seal(manifest))
    fails(cli(*encode), "another table of features")
    manifest["feature_table"] = "00000000"
    write_json(folder / "manifest.json", seal(manifest))
    fails(cli("pruner", "info", folder), "hook.txt: does not say what the manifest says")
    for change, said in (
        ({"version": None}, "encoder.version is None"),
        ({"cpu_used": "2"}, "encoder.cpu_used is '2'"),
    ):
        write_json(folder / "manifest.json", seal(manifest | {"encoder": manifest["encoder"] | change}))
        fails(cli("pruner", "info", folder), said)
    fails(cli("pruner", "info", tmp_path / "nowhere"), "no such folder, and no pruner in the box")


def test_fit_refuses_a_record_whose_features_meant_something_else(record: Path, tmp_path: Path) -> None:
    """Under the same names and units: the table's own number tells, and one that is missing is another."""
    copy = tmp_path / "copy"
    shutil.copytree(record, copy)
    manifest = json.loads((copy / "manifest.json").read_text())
    table = manifest["encoder"].pop("feature_table")
    for encoder in (manifest["encoder"], manifest["encoder"] | {"feature_table": f"{int(table, 16) ^ 1:08x}"}):
        write_json(copy / "manifest.json", seal(manifest | {"encoder": encoder}))
        fails(cli("pruner", "fit", copy, "-o", tmp_path / "p"), "another table of features than this hook's")
    assert not (tmp_path / "p").exists()


def test_a_dry_run_of_a_fit_says_what_it_would_learn_from_and_code(
    record: Path, photographs: list[Path], tmp_path: Path
) -> None:
    said = done("pruner", "fit", record, "-o", tmp_path / "p", "--sides", "8,16", "--dry-run").stdout
    learning = (
        "12 pictures of 4 sources to learn from.\n3 pictures of 1 sources to be judged by.\n"
        "3 pictures of 1 sources to be proven on.\nAt most 10 models (network): 5 decisions at 2 sizes."
    )
    assert learning in said
    assert f"Reads {record}: " in said
    said = done("fit", record, *photographs[4:], "-o", tmp_path / "p", "--sides", "8,16", "--dry-run").stdout
    assert learning in said
    assert f"Then {len(PRICES)} prices are tried, beside no pruner:\n  crop4: 1 frame of 160x144, 8 bit\n" in said
    assert "2 sources at 4 cq by 6 arms: 48 encodes." in said
    assert list(tmp_path.iterdir()) == []


def test_fit_refuses_what_makes_no_pruner(record: Path, tmp_path: Path) -> None:
    fit = ("pruner", "fit", record, "-o", tmp_path / "p")
    fails(cli(*fit, "--price", "0"), "Price 0.0")
    for values in ({"price": 5e4}, {"most": 1e-13}):  # before anything is learnt
        with pytest.raises(ToolkitError, match="above 0 and below 1000, with at most 12 decimals"):
            FitConfig(**values)
    fails(cli(*fit, "--sides", "12"), "--sides 12: expected any of 8, 16, 32, 64, 128")
    fails(cli(*fit, "--decisions", "nothing"), "--decisions nothing")
    (tmp_path / "p").mkdir()
    fails(cli(*fit), "exists already")


def test_a_record_that_was_stopped_goes_on(
    photographs: list[Path], libaom: Libraries, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("record", *photographs[:3], "-o", tmp_path / "set", "--cq", "40", "--jobs", "1", "--size", "64x64")
    real, coded = recorder.code, []

    def stops(piece: recorder.Piece) -> None:
        if len(coded) == 2:
            raise ToolkitError("stopped here")
        coded.append(piece.file.name)
        real(piece)

    monkeypatch.setattr(recorder, "code", stops)
    fails(cli(*words), "stopped here")
    assert not (tmp_path / "set").exists()
    monkeypatch.setattr(recorder, "code", lambda piece: (coded.append(piece.file.name), real(piece)))
    done(*words)
    assert sorted(coded) == sorted({path.stem for path in photographs[:3]})
    assert not list(tmp_path.glob(".set.work"))
    fails(cli(*words), "exists already")


def test_a_folder_of_another_kind_is_named(pruner: Path, record: Path, tmp_path: Path) -> None:
    fails(cli("pruner", "fit", pruner, "-o", tmp_path / "p"), "pruner", "Expected a record of the search")
    fails(cli("pruner", "info", record), "a record of the search", "Expected a pruner")


def test_one_command_learns_and_proves_once_and_sets_the_price_by_encodes(
    record: Path, photographs: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learnt = []
    monkeypatch.setattr("integration.pruning.fit.learn", lambda *words: (learnt.append(1), learn(*words))[1])
    held_out = photographs[4:]
    words = ("fit", record, *held_out, "-o", tmp_path / "made", "--sides", "8,16", "--size", "source")
    said = done(*words, "--target-loss", 1000).stdout
    assert said.count("of the CPU time saved for") == len(PRICES) + 1
    assert "on 2 sources that it has not learnt from" in said
    made = PrunerBundle.load(tmp_path / "made")
    assert made.price in PRICES
    assert len(learnt) == 1
    assert f"made: price {made.price:g}: " in said.splitlines()[-1]
    assert "price" not in made.manifest["proof"], "one proof holds at every price"
    assert [path.name for path in tmp_path.iterdir()] == ["made"]
    fails(cli("fit", record, photographs[0], *words[4:6], "--overwrite"), "trained on")
    fails(cli(*words), "exists already")
    fails(cli(*words[:5], tmp_path / "other", "--size", "12"), "Size '12': expected WIDTHxHEIGHT")
    assert [path.name for path in tmp_path.iterdir()] == ["made"], "nothing was learnt"


def test_prices_are_tried_on_a_pruner_of_the_same_options_not_on_one_that_a_stopped_run_left(
    record: Path, photographs: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = []

    def stopped(pruner: PrunerBundle, *rest: object, **named: object) -> list[PriceTrial]:
        tried.append(pruner.manifest["learnt"]["config"]["sides"])
        raise ToolkitError("stopped")

    monkeypatch.setattr("integration.tuning.pruner.try_prices", stopped)
    for sides in ("8", "8,16", "8"):
        fails(cli("fit", record, *photographs[4:], "-o", tmp_path / "made", "--sides", sides), "stopped")
    assert tried == [[8], [8, 16], [8]]
    assert len(list(tmp_path.iterdir())) == 2, "the first is kept for the last"


def test_a_run_that_was_stopped_goes_on_with_the_same_options_alone(
    record: Path, photographs: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object, **__: object) -> None:
        raise ToolkitError("stopped")

    monkeypatch.setattr("integration.tuning.pruner.try_prices", stop)
    words = ("fit", record, photographs[4], "-o", tmp_path / "made")
    for options, learns in (
        (("--sides", "8", "--size", "0x0"), False),
        (("--sides", "8"), True),
        (("--sides", "8"), False),
        (("--sides", "8,16"), True),
    ):
        stopped = cli(*words, *options)
        assert stopped.exit_code == 1
        assert ("Learning from the record" in stopped.stderr) == learns


def test_a_price_is_the_one_that_saves_most_within_the_target() -> None:
    trials = [PriceTrial(0.01, 0.1, 10.0), PriceTrial(0.03, 0.4, 30.0), PriceTrial(0.05, 0.9, 40.0)]
    assert choose_price(trials, 0.5).price == 0.03
    assert choose_price(trials, 1.0).price == 0.05
    with pytest.raises(ToolkitError, match=r"No price saves time for at most 0\.05% bytes\. price 0\.01: 10\.0%"):
        choose_price(trials, 0.05)
    with pytest.raises(ToolkitError, match=r"No price saves time .* -2\.0% of the CPU time .* bytes\. Record more"):
        choose_price([PriceTrial(0.01, 0.0, -2.0)], 1.0)
