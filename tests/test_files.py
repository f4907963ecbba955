"""Folders that are replaced whole or not at all, whatever comes between."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from genie.files import replacing


def test_a_folder_is_replaced_as_a_whole(tmp_path: Path) -> None:
    for text in ("old", "new"):
        with replacing(tmp_path / "world") as fresh:
            (fresh / "a.txt").write_text(text)
    assert (tmp_path / "world" / "a.txt").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["world"]


def test_the_old_folder_is_put_back_where_the_new_one_cannot_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "world").mkdir()
    (tmp_path / "world" / "a.txt").write_text("old")
    rename = os.replace

    def refused(source: Path, target: Path) -> None:
        if source.name.startswith("."):
            raise PermissionError("in use")
        rename(source, target)

    monkeypatch.setattr(os, "replace", refused)
    with pytest.raises(PermissionError, match="in use"), replacing(tmp_path / "world") as fresh:
        (fresh / "a.txt").write_text("new")
    assert (tmp_path / "world" / "a.txt").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["world"]


KILLED = """
import os, sys
from pathlib import Path
from genie.files import replacing

rename = os.replace
def once(source, target):
    rename(source, target)
    os._exit(9)

os.replace = once
with replacing(Path(sys.argv[1])) as fresh:
    (fresh / "a.txt").write_text("new")
"""


def test_a_process_killed_between_the_renames_leaves_the_old_folder_in_sight(tmp_path: Path) -> None:
    (tmp_path / "world").mkdir()
    (tmp_path / "world" / "a.txt").write_text("old")
    assert subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "world")], check=False).returncode == 9
    (left,) = [path for path in tmp_path.iterdir() if not path.name.startswith(".")]
    assert left.name.startswith("world.") and left.name.endswith(".old")
    assert (left / "a.txt").read_text() == "old"
