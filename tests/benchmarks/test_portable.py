"""The script that runs tests under several arithmetics: each once, and a failure under one of them fails the whole."""

from pathlib import Path

import pytest

from benchmarks import portable

TEST = """
import os

def test_it():
    assert os.environ.get("ONEDNN_MAX_CPU_ISA") != "{}"
"""


def numbers(setting: str) -> tuple[str, str]:
    """Three arithmetics: oneDNN's SSE, its AVX2, and that of all other settings but one, which there is none of."""
    if setting == "ATEN_CPU_CAPABILITY=avx512":
        return "", "this CPU has no AVX-512"
    return setting if setting.startswith("ONEDNN") else "usual", ""


@pytest.mark.long
@pytest.mark.parametrize(("breaks", "status"), [("SSE41", 1), ("none", 0)])
def test_each_arithmetic_is_run_once_and_none_may_fail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], breaks: str, status: int
) -> None:
    monkeypatch.setattr(portable, "numbers_of", numbers)
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")  # of the caller: every setting is tried alone
    (tmp_path / "test_it.py").write_text(TEST.format(breaks))
    assert (
        portable.main([str(tmp_path / "test_it.py"), "-c", "/dev/null", "-p", "no:cacheprovider", "-n", "0"]) == status
    )
    lines = {line[:30].strip(): line[31:] for line in capfd.readouterr().out.splitlines()}
    assert lines["as the machine does it"].startswith("passed: 1 passed")
    assert lines["ONEDNN_MAX_CPU_ISA=SSE41"].startswith("FAILED: 1 failed" if status else "passed: 1 passed")
    assert lines["ONEDNN_MAX_CPU_ISA=AVX2"].startswith("passed: 1 passed")
    assert lines["ATEN_CPU_CAPABILITY=avx512"] == "not run: this CPU has no AVX-512"
    assert lines["OPENBLAS_CORETYPE=Haswell"] == "not run: the same numbers as: as the machine does it"
    assert "3 arithmetics were tried." in lines


def test_settings_of_the_kernels_do_change_the_numbers() -> None:
    plain, reason = portable.numbers_of("")
    assert reason == ""
    assert portable.numbers_of("ATEN_CPU_CAPABILITY=default")[0] not in ("", plain)
