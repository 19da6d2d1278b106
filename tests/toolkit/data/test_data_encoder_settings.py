"""Which encoder settings stand for the same decisions."""

from toolkit.data.encoder_settings import settings_differ

OWN = {"name": "libaom", "version": "3.12.1", "cpu_used": 1, "cq": [20, 32], "threads": 1}


def test_a_speed_or_version_is_decisive() -> None:
    assert settings_differ(OWN, {**OWN, "cpu_used": 2}) == "cpu_used: 2, expected 1"
    assert "version" in settings_differ(OWN, {k: v for k, v in OWN.items() if k != "version"})


def test_other_qindexes_pictures_and_threads_are_not() -> None:
    assert settings_differ(OWN, {**OWN, "cq": [43], "threads": 4, "input": {"size": "1280x720"}}) == ""


def test_the_bookkeeping_of_an_importer_is_no_setting() -> None:
    triplets, pt = {"imported": {"format": "triplets", "warnings": []}}, {"imported": {"format": "pt", "scaled": 2}}
    assert settings_differ(triplets, pt) == ""
    assert (
        settings_differ(OWN, pt)
        == settings_differ(pt, OWN)
        == ("unknown: imported labels do not say which encoder chose them")
    )
