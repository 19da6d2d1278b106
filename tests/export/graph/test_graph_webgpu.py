"""WebGPU: sessions in processes of their own, on it alone, and what is said where it is not there or is lost."""

import os
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from support.webgpu import NO_DEVICE, convolution, workers

import export.proof.doctor
from export.graph import vulkan, webgpu
from export.graph.runtime import ProviderUnavailable, open_session
from export.proof.doctor import Driver
from toolkit.cli.main import main
from toolkit.errors import ToolkitError
from toolkit.processes import spent_apart

X = np.linspace(0, 1, 3 * 64, dtype=np.float32).reshape(3, 1, 8, 8)


@pytest.mark.usefixtures("webgpu_provider")
def test_a_graph_runs_on_it_alone_and_gives_the_cpu_s_numbers() -> None:
    session, placement = open_session(convolution("Neg", "Mish"), "webgpu", None)
    assert set(placement) == {"WebGpuExecutionProvider"}
    assert placement["WebGpuExecutionProvider"] >= 3  # the layout adds some
    expected = open_session(convolution("Neg", "Mish"), "cpu", 1)[0].run(["y"], {"x": X})[0]
    before = spent_apart()
    np.testing.assert_allclose(session.run(["y"], {"x": X})[0], expected, atol=1e-5)
    assert spent_apart() > before  # its CPU time is charged to whoever measures this process's
    np.testing.assert_allclose(session.run(None, {"x": X[:1]})[0], expected[:1], atol=1e-5)
    device = session.device
    assert device["onnxruntime_webgpu"] == webgpu.version()
    assert ("software device" in vulkan.describe(device)) == (device["kind"] == "software")


@pytest.mark.usefixtures("webgpu_provider")
def test_a_node_that_would_run_on_the_cpu_is_refused() -> None:
    with pytest.raises(ProviderUnavailable, match="assigned to the default CPU EP, but fallback to CPU EP has been"):
        open_session(convolution("Hardmax"), "webgpu", None)


@pytest.mark.usefixtures("webgpu_provider")
def test_without_a_device_nothing_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in NO_DEVICE.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ProviderUnavailable, match="Failed to get a WebGPU adapter"):
        open_session(convolution(), "webgpu", None)


def test_without_its_runtime_the_command_that_installs_it_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AV1PART_CACHE", str(tmp_path))
    with pytest.raises(ProviderUnavailable, match=r"is not installed.*`av1part doctor --install-webgpu`"):
        open_session(convolution(), "webgpu", None)
    assert "WebGPU: not installed; `av1part doctor --install-webgpu`" in CliRunner().invoke(main, ["doctor"]).stdout


@pytest.mark.usefixtures("webgpu_provider")
def test_the_processes_of_two_sessions_end_with_them() -> None:
    before = workers(os.getpid())
    first, second = (open_session(convolution(op), "webgpu", None)[0] for op in ("Abs", "Neg"))
    assert len(workers(os.getpid()) - before) == 2
    first.close()
    assert len(workers(os.getpid()) - before) == 1
    del second
    assert workers(os.getpid()) <= before


@pytest.mark.usefixtures("webgpu_provider")
def test_a_device_that_is_lost_in_the_middle_is_one_line() -> None:
    from export.graph.runtime import running

    before = workers(os.getpid())
    session, _ = open_session(convolution(), "webgpu", None)
    (process,) = workers(os.getpid()) - before
    os.kill(process, signal.SIGKILL)
    for _ in range(2):  # and once more, at once
        with (
            pytest.raises(ToolkitError, match=r"the process with the WebGPU device ended with -9 \(") as caught,
            running(),
        ):
            session.run(["y"], {"x": X})
        assert "\n" not in caught.value.message


@pytest.mark.usefixtures("webgpu_provider")
def test_what_onnx_runtime_refuses_is_said_and_the_session_goes_on() -> None:
    session, _ = open_session(convolution(), "webgpu", None)
    with pytest.raises(webgpu.ProcessEnded, match="Got invalid dimensions for input"):
        session.run(["y"], {"x": X[:, :, :5]})
    assert session.run(["y"], {"x": X})[0].shape == (3, 1, 6, 6)


@pytest.mark.skipif(sys.platform != "linux", reason="Vulkan devices are asked on Linux alone")
def test_software_is_chosen_only_where_no_gpu_is_there_and_the_user_named_no_driver(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    soft, hard = (vulkan.Device("A", kind, "driver 1") for kind in ("software", "integrated GPU"))
    library = tmp_path / "libvk_swiftshader.so"
    library.touch()
    monkeypatch.setattr(vulkan, "SWIFTSHADER", (tmp_path / "not there", library))
    for there, environment, chosen in (
        ([], {}, True), ([soft], {}, True), ([soft, hard], {}, False), ([], {"VK_ICD_FILENAMES": "mine.json"}, False),
    ):  # fmt: skip
        monkeypatch.setattr(vulkan, "devices", lambda there=there: there)
        after = dict(environment)
        vulkan.choose_software(tmp_path, after)
        named = dict.fromkeys(vulkan.CHOICES, str(tmp_path / "swiftshader.json"))
        assert after == (named if chosen else environment)
    assert str(library) in (tmp_path / "swiftshader.json").read_text()


def test_a_software_device_is_never_called_a_gpu() -> None:
    device = {"name": "llvmpipe", "kind": "software", "driver": "Mesa 25"}
    assert vulkan.describe(device) == "GPU provider on a software device: llvmpipe, software, Mesa 25"
    assert vulkan.describe(device | {"kind": "discrete GPU"}) == "on llvmpipe, discrete GPU, Mesa 25"
    assert "not identified" in vulkan.describe({"onnxruntime_webgpu": "1.27.0"})


@pytest.mark.usefixtures("webgpu_provider")
def test_the_doctor_runs_it_and_says_on_what() -> None:
    found = export.proof.doctor.find_webgpu()
    assert (found["installed"], found["error"], found["unusable"]) == (True, "", False)
    assert set(found["placement"]) == {"WebGpuExecutionProvider"}
    assert {"name", "kind", "driver"} < set(found["device"])
    assert found["float16"] == "" or "requires f16" in found["float16"]


@pytest.mark.parametrize(
    ("float16", "said"),
    [
        ("Program Conv requires f16 but the device does not support it", "not on this device, which has no shader-f16"),
        ("a convolution is off by 3", "a real run FAILED: a convolution is off by 3"),
        ("", "a real run ok; but WebGPU has no float16 profile"),
    ],
)
def test_the_doctor_says_what_float16_does_there(monkeypatch: pytest.MonkeyPatch, float16: str, said: str) -> None:
    device = {"name": "Arc", "kind": "discrete GPU", "driver": "Mesa 25"}
    monkeypatch.setattr(export.proof.doctor, "find_driver", lambda: Driver(False))
    monkeypatch.setattr(export.proof.doctor, "_probe", lambda what: {"error": "", "device": device, "float16": float16})
    monkeypatch.setattr(webgpu, "installed", lambda: True)
    assert f"\n  float16: {said}" in CliRunner().invoke(main, ["doctor"]).stdout


@pytest.mark.parametrize(("kind", "code"), [("discrete GPU", 1), ("software", 0)])
def test_the_doctor_calls_only_hardware_that_fails_unusable(
    monkeypatch: pytest.MonkeyPatch, kind: str, code: int
) -> None:
    answer = {"error": "a convolution is off by 3", "device": {"name": "Arc", "kind": kind, "driver": "Mesa 25"}}
    monkeypatch.setattr(export.proof.doctor, "find_driver", lambda: Driver(False))
    monkeypatch.setattr(export.proof.doctor, "_probe", lambda what: answer)
    monkeypatch.setattr(webgpu, "installed", lambda: True)
    run = CliRunner().invoke(main, ["doctor"])
    assert run.exit_code == code
    assert "a real run FAILED (found Arc): a convolution is off by 3" in run.stdout
    assert run.stdout.endswith("The GPU is NOT usable.\n" if code else "no GPU here\n")


def test_the_lock_has_one_version_whose_every_file_has_a_hash() -> None:
    first, *rest = webgpu.LOCK.read_text().replace("\\\n", " ").splitlines()
    assert rest == []
    name, *hashes = first.split()
    assert name == f"onnxruntime-webgpu=={webgpu.version()}"
    assert len(hashes) > 5
    assert all(len(value.removeprefix("--hash=sha256:")) == 64 for value in hashes)


def test_a_file_with_another_hash_is_not_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    lock = tmp_path / "webgpu.lock"
    lock.write_text(f"onnxruntime-webgpu==9.0 --hash=sha256:{'0' * 64}\n")
    (tmp_path / "onnxruntime_webgpu-9.0-py3-none-any.whl").write_bytes(b"changed on the way")
    monkeypatch.setattr(webgpu, "LOCK", lock)
    own = {
        "AV1PART_CACHE": tmp_path / "cache",
        "PIP_NO_INDEX": 1,
        "PIP_FIND_LINKS": tmp_path,
        "PIP_CONFIG_FILE": os.devnull,
    }
    for name, value in own.items():
        monkeypatch.setenv(name, str(value))
    with pytest.raises(ToolkitError, match="DO NOT MATCH THE HASHES"):
        webgpu.install()
    assert not webgpu.installed()
    assert not (tmp_path / "cache").exists(), "nothing is left behind"
