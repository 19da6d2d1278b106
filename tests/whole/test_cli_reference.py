"""docs/reference has every command with every option, as the commands have them now."""

import pytest
from support.places import ROOT

from toolkit.cli.reference import COMMAND, FOLDER, missing, pages

PAGES = pages()


@pytest.mark.parametrize("name", PAGES)
def test_the_reference_is_what_the_commands_say(name: str) -> None:
    assert (ROOT / FOLDER / name).read_text() == PAGES[name], f"run `{COMMAND}`"


def test_every_command_is_in_the_reference() -> None:
    assert missing() == set()
    text = "\n".join(PAGES.values())
    for said in ("## pipeline build", "## zoo\n", "| `--epochs N` |", "| `-o, --output PATH` |", "good\\|allintra"):
        assert said in text
