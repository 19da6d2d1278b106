from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.data.splits import assign_splits
from toolkit.errors import ToolkitError

NAMES = st.lists(st.text("abcdefgh-1", min_size=1, max_size=8), unique=True, min_size=1, max_size=40)


@given(names=NAMES, data=st.data())
def test_auto_depends_on_the_names_alone_and_fills_every_split(names: list[str], data: st.DataObject) -> None:
    splits = assign_splits(names)
    assert splits == assign_splits(data.draw(st.permutations(names)))
    assert set(splits) == set(names)
    counts = [list(splits.values()).count(s) for s in ("train", "val", "test")]
    assert counts[0] >= 1
    if len(names) >= 3:
        assert min(counts) >= 1
    if len(names) >= 20:
        assert counts[0] / len(names) == pytest.approx(0.7, abs=0.06)


def test_one_split_for_all() -> None:
    assert assign_splits(["a", "b"], "test") == {"a": "test", "b": "test"}


def test_a_table(tmp_path: Path) -> None:
    table = tmp_path / "splits.tsv"
    table.write_text("# mine\na\ttrain\n\nb c\tval\n")
    assert assign_splits(["b c", "a"], str(table)) == {"a": "train", "b c": "val"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a\ttrain\n", "without a split: b;"),
        ("a\ttrain\nb\tval\nc\tval\n", "no source: c"),
        ("a\ttrain\nb\tval\na\ttest\n", "line 3: a is named twice"),
        ("a\ttrain\nb\tdev\n", "line 2: .*one of train, val, test"),
        ("a train\n", "a tab"),
    ],
)
def test_a_wrong_table(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "t.tsv").write_text(text)
    with pytest.raises(ToolkitError, match=message):
        assign_splits(["a", "b"], str(tmp_path / "t.tsv"))


def test_no_table_and_a_shared_name(tmp_path: Path) -> None:
    with pytest.raises(ToolkitError, match="nor a readable table"):
        assign_splits(["a"], str(tmp_path / "none.tsv"))
    with pytest.raises(ToolkitError, match="share a name: a"):
        assign_splits(["a", "b", "a"])
