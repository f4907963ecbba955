"""Session files: what was played comes back whole, and what is not a session is refused with a reason."""

from __future__ import annotations

import json
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import genie
from genie.sessions.archive import read, save
from genie.sessions.format import Branch, png
from genie.sessions.journal import Journal
from genie.sessions.reading import check_same_tokenizer, check_same_weights, read_session
from genie.sessions.recording import Recording
from genie.sessions.session import Session


def test_a_session_goes_on_where_it_was_saved_to_the_bit(played: Session, saved: Path, coinrun: genie.World) -> None:
    opened = Session.open(saved, coinrun)
    assert opened.tree == played.tree
    assert (opened.branch, opened.index) == (played.branch, played.index)
    assert np.array_equal(opened.frame, played.frame)
    assert opened.path(0)[77].pixels == played.path(0)[77].pixels
    straight = coinrun.start(seed=5)
    for step in opened.path()[: opened.index]:
        straight.step(step.action)
    for action in ("right", "jump", "left"):
        assert np.array_equal(opened.step(action), straight.step(action))
    opened.close()


def test_every_frame_is_read_without_the_model(played: Session, saved: Path, coinrun: genie.World) -> None:
    recording = read_session(saved)
    assert recording.frames == played.recording.frames
    assert recording.header.world.name == "coinrun"
    assert recording.header.runtime.backend == coinrun.backend
    assert {kind for _, kind in enumerate(branch.kind for branch in recording.tree)} == {
        "root", "branch", "edit", "bookmark", "re-roll", "sampling",
    }  # fmt: skip
    for branch in recording.tree:
        ours, theirs = played.recording.rows(branch.id), recording.rows(branch.id)
        assert np.array_equal(ours, theirs)


def test_an_hour_takes_about_ten_megabytes(saved: Path) -> None:
    with zipfile.ZipFile(saved) as archive:
        steps = sum(info.compress_size for info in archive.infolist() if info.filename.startswith("steps/"))
        picture = np.median([info.compress_size for info in archive.infolist() if info.filename.startswith("frames/")])
    recording = read(saved)
    hour = 3600 * recording.header.world.frame_rate
    assert hour * steps / recording.frames + hour / 256 * picture < 10e6


def rewritten(saved: Path, target: Path, change: Callable[[dict[str, bytes]], None]) -> Path:
    """A copy of a session file with other contents."""
    with zipfile.ZipFile(saved) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    change(files)
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return target


def contents(change: Callable[[dict[str, Any]], None]) -> Callable[[dict[str, bytes]], None]:
    def apply(files: dict[str, bytes]) -> None:
        value = json.loads(files["session.json"])
        change(value)
        files["session.json"] = json.dumps(value).encode()

    return apply


def put(name: str, data: bytes) -> Callable[[dict[str, bytes]], None]:
    """Another file, with its size and hash noted."""
    import hashlib

    def apply(files: dict[str, bytes]) -> None:
        value = json.loads(files["session.json"])
        value["files"][name] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
        files |= {name: data, "session.json": json.dumps(value).encode()}

    return apply


HOSTILE: dict[str, tuple[Callable[[dict[str, bytes]], None], str]] = {
    "no contents": (lambda files: files.pop("session.json"), "has no session.json"),
    "not JSON": (lambda files: files.update({"session.json": b"{"}), "session.json"),
    "deep JSON": (lambda files: files.update({"session.json": b"[" * 100_000}), "session.json"),
    "another schema": (contents(lambda c: c["header"].update(schema_version=99)), "schema version 99.*update"),
    "unknown field": (contents(lambda c: c.update(code="import os")), "code: Extra inputs"),
    "a world's name that is a path": (contents(lambda c: c["header"]["world"].update(name="../world")), "world.name: String should match"),
    "missing steps": (lambda files: files.pop("steps/tokens.bin"), "has no steps/tokens.bin"),
    "changed steps": (lambda files: files.update({"steps/action.bin": bytes(len(files["steps/action.bin"]))}), "sha256"),
    "short steps": (put("steps/action.bin", b"\0\0"), "has 2 bytes; .* need"),
    "more frames than steps": (contents(lambda c: c["branches"][0].update(length=4_000_000)), "4,000,046 frames need"),
    "absurdly many frames": (contents(lambda c: c["branches"][0].update(length=10**12)), "length"),
    "an action the world has not": (lambda files: put("steps/action.bin", b"\xff" * len(files["steps/action.bin"]))(files), "action of 14"),
    "a token the world has not": (lambda files: put("steps/tokens.bin", b"\xff" * len(files["steps/tokens.bin"]))(files), "tokens of 1000"),
    "a huge picture": (put("prompt.png", png(np.zeros((4000, 4000, 3), np.uint8))), "4000×4000 pixels instead of 256×64"),
    "a picture that is none": (put("prompt.png", b"GIF89a"), "not a readable PNG"),
    "a parent that comes later": (contents(lambda c: c["branches"][1].update(parent=3)), "does not fit the tree"),
    "a branch past its parent": (contents(lambda c: c["branches"][1].update(start=151)), "has not"),
    "two roots": (contents(lambda c: c["branches"][1].update(kind="root", parent=None)), "does not fit"),
    "a cursor nowhere": (contents(lambda c: c.update(cursor=[0, 5000])), "not 5000"),
    "a picture of no frame": (contents(lambda c: c["key_frames"].append([0, 4000])), "names no frames/0-4000.png"),
    "an edit without picture": (lambda files: files.pop("edits/2.png"), "has no edits/2.png"),
}  # fmt: skip


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_file_is_refused_with_a_reason(saved: Path, tmp_path: Path, what: str) -> None:
    change, says = HOSTILE[what]
    with pytest.raises(genie.SessionError, match=says):
        read_session(rewritten(saved, tmp_path / "bad.session", change))


def far_scroll(files: dict[str, bytes]) -> None:
    tokens = np.frombuffer(files["steps/tokens.bin"], "<u2").reshape(-1, *shape_of(files)).copy()
    tokens[7, -1, 0] = 999
    put("steps/tokens.bin", tokens.tobytes())(files)


def shape_of(files: dict[str, bytes]) -> tuple[int, int]:
    world = json.loads(files["session.json"])["header"]["world"]
    return world["positions"], world["codes"]


def large_tokens(files: dict[str, bytes]) -> None:
    contents(lambda c: c["header"]["world"].update(vocabulary=60_000))(files)
    put("steps/tokens.bin", np.full(len(files["steps/tokens.bin"]) // 2, 50_000, "<u2").tobytes())(files)


def more_actions(files: dict[str, bytes]) -> None:
    def claim(value: dict[str, Any]) -> None:
        actions = value["header"]["world"]["actions"]
        actions += [{**actions[0], "id": number, "name": str(number)} for number in range(len(actions), 401)]

    contents(claim)(files)
    put("steps/action.bin", np.full(len(files["steps/action.bin"]) // 2, 400, "<u2").tobytes())(files)


CLAIMS: dict[str, tuple[Callable[[dict[str, bytes]], None], str]] = {
    "a larger vocabulary": (large_tokens, "has vocabulary 60000, but it has 1000"),
    "more actions": (more_actions, "has 401 actions, but it has"),
    "a scroll beyond the reach": (far_scroll, "frame of branch 0 scrolls further"),
}


@pytest.mark.parametrize("what", CLAIMS)
@pytest.mark.parametrize("watch", [False, True])
def test_a_session_that_claims_other_numbers_than_its_world_has_is_refused(
    saved: Path, coinrun: genie.World, tmp_path: Path, what: str, watch: bool
) -> None:
    change, says = CLAIMS[what]
    path = rewritten(saved, tmp_path / "claims.session", change)
    with pytest.raises(genie.SessionError, match=says):
        Session.open(path, coinrun, watch=watch)


def test_a_session_opens_after_its_worlds_actions_were_renamed(saved: Path, coinrun: genie.World, tmp_path: Path) -> None:
    rename = contents(lambda c: c["header"]["world"]["actions"][0].update(name="as it was called"))
    path = rewritten(saved, tmp_path / "renamed.session", rename)
    check_same_weights(read_session(path), coinrun, path)


def test_a_large_prompt_that_can_be_played_is_read_again(played: Session, tmp_path: Path) -> None:
    header = played.recording.header
    world = header.world.model_copy(update={"resolution": (512, 512)})
    noise = np.random.default_rng(0).integers(0, 256, (24, 512, 512, 3), dtype=np.uint8)
    recording = Recording(header.model_copy(update={"world": world, "prompt_frames": 24}), noise)
    recording.add_branch(Branch(id=0))
    save(recording, tmp_path / "large.session")
    Journal.begin(tmp_path / "journal", recording).close()
    assert (tmp_path / "journal" / "prompt.png").stat().st_size > 2**24
    for path in (tmp_path / "large.session", tmp_path / "journal"):
        assert np.array_equal(read_session(path).prompt, noise)


def test_a_play_that_becomes_too_large_is_told_so_and_can_be_saved(
    played: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row, edit = played.recording.rows(0)[:1], played.recording.prompt[-1]
    monkeypatch.setattr("genie.sessions.recording.MAX_STEP_BYTES", 3 * row.nbytes)
    monkeypatch.setattr("genie.sessions.recording.MAX_PICTURES_BYTES", edit.nbytes)
    recording = Recording(played.recording.header, played.recording.prompt)
    recording.add_branch(Branch(id=0))
    recording.add_controls(())
    recording.add_controls(("d",))
    recording.add_branch(Branch(id=1, parent=0, kind="edit"), edit)
    for _ in range(3):
        recording.append(0, row)
    with pytest.raises(genie.SessionError, match="at most 3 frames; save it"):
        recording.append(0, row)
    with pytest.raises(genie.SessionError, match="of pictures; save it"):
        recording.add_branch(Branch(id=2, parent=0, kind="edit"), edit)
    save(recording, tmp_path / "full.session")
    assert (read_session(tmp_path / "full.session").frames, len(read_session(tmp_path / "full.session"))) == (3, 2)


def test_a_bomb_is_not_unpacked(saved: Path, tmp_path: Path) -> None:
    path = rewritten(saved, tmp_path / "bomb.session", put("prompt.png", bytes(200 * 2**20)))
    assert path.stat().st_size < 2**20
    with pytest.raises(genie.SessionError, match="more than the"):
        read_session(path)


def test_thousands_of_nested_branches_are_read_in_time(saved: Path, tmp_path: Path) -> None:
    """The time grows with their number, not with its square."""
    frames, depth = read(saved).frames, 20_000

    def nest(value: dict[str, Any]) -> None:
        link = {**value["branches"][1], "start": 0, "length": 0, "kind": "branch", "label": "", "pruned": False}
        value["branches"] = value["branches"][:1] + [{**link, "id": number, "parent": number - 1} for number in range(1, depth)]
        value["key_frames"] = []

    def trunk_only(files: dict[str, bytes]) -> None:
        for column in ("action", "controls", "tokens", "settled", "pixels", "step", "latency"):
            data = files[f"steps/{column}.bin"]
            put(f"steps/{column}.bin", data[: len(data) * 150 // frames])(files)
        contents(nest)(files)

    path = rewritten(saved, tmp_path / "deep.session", trunk_only)
    began = time.process_time()
    recording = read_session(path)
    assert time.process_time() - began < 5.0  # half a second; the square would take minutes
    assert (len(recording), recording.frames, recording.owner(depth - 1, 0)) == (depth, 150, 0)


def test_two_files_of_one_name_are_refused(saved: Path, tmp_path: Path) -> None:
    path = tmp_path / "twice.session"
    path.write_bytes(saved.read_bytes())
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(path, "a") as archive:
        archive.writestr("prompt.png", b"other")
    with pytest.raises(genie.SessionError, match="two files of one name"):
        read_session(path)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_truncated_or_damaged_file_is_refused(saved: Path, tmp_path: Path, data: st.DataObject) -> None:
    whole = saved.read_bytes()
    cut = data.draw(st.integers(0, len(whole) - 1))
    path = tmp_path / "cut.session"
    if data.draw(st.booleans()):
        path.write_bytes(whole[:cut])
    else:
        path.write_bytes(whole[:cut] + bytes([whole[cut] ^ 255]) + whole[cut + 1 :])
    try:
        read = read_session(path)
    except genie.SessionError:
        return
    assert len(path.read_bytes()) == len(whole)  # a byte that nothing depends on: a time stamp in the zip
    assert np.array_equal(read.rows(0), read_session(saved).rows(0))


def test_what_is_no_session_is_said_to_be_none(tmp_path: Path) -> None:
    (tmp_path / "text.session").write_text("hello")
    with pytest.raises(genie.SessionError, match="is not a session file"):
        read_session(tmp_path / "text.session")
    with pytest.raises(genie.SessionError, match="neither"):
        read_session(tmp_path / "nowhere.session")
    with pytest.raises(genie.SessionError, match="not a journal"):
        read_session(tmp_path)
    other = tmp_path / "other.zip"
    with zipfile.ZipFile(other, "w") as archive:
        archive.writestr("a", b"b")
    with pytest.raises(genie.SessionError, match=r"has no session\.json"):
        read_session(other)


def test_saving_is_whole_or_not_at_all(played: Session, tmp_path: Path) -> None:
    with pytest.raises(genie.SessionError, match="does not exist"):
        played.save(tmp_path / "nowhere" / "take.session")
    path = tmp_path / "take.session"
    played.save(path)
    first = path.read_bytes()
    played.save(path)
    assert path.read_bytes() == first  # the same play is the same file
    assert list(tmp_path.iterdir()) == [path]


def test_other_weights_are_refused_and_the_message_says_what_still_works(
    saved: Path, bundle: Path, coinrun: genie.World, tmp_path: Path
) -> None:
    other = genie.load_world(bundle, backend="onnx", device="cpu")
    with pytest.raises(genie.SessionError, match=r"other weights of 'coinrun'.*cannot be simulated.*Get the world that made it"):
        Session.open(saved, other)
    recording = read_session(saved)
    with pytest.raises(genie.SessionError, match="codes mean nothing here"):
        check_same_tokenizer(recording, other.manifest, saved)
    world = recording.header.world.model_copy(update={"weights": "0" * 64})  # the same tokenizer under another dynamics
    recording.header = recording.header.model_copy(update={"world": world})
    check_same_tokenizer(recording, coinrun.manifest, saved)
    with pytest.raises(genie.SessionError, match=r"cannot be simulated.*genie replay"):
        check_same_weights(recording, coinrun, saved)


def test_a_session_of_other_weights_can_be_watched_but_not_gone_on_with(saved: Path, coinrun: genie.World, tmp_path: Path) -> None:
    recording = read_session(saved)
    world = recording.header.world.model_copy(update={"weights": "0" * 64})
    recording.header = recording.header.model_copy(update={"world": world})
    other = tmp_path / "other.session"
    save(recording, other)
    mine, session = Session.open(saved, coinrun), Session.open(other, coinrun, watch=True)
    assert session.watched and not mine.watched and not Session.open(saved, coinrun, watch=True).watched
    for branch in mine.tree:
        mine.seek(branch.end, branch.id)
        session.seek(branch.end, branch.id)
        assert np.array_equal(session.frame, mine.frame)
    number = len(session.tree)
    for act in (
        lambda: session.step("right"),
        lambda: session.edit(session.frame),
        lambda: session.reroll(2),
        lambda: session.resample(passes=1),
        lambda: session.ahead("right", 2),
    ):
        with pytest.raises(genie.SessionError, match="can be watched"):
            act()
    assert len(session.tree) == number and list(session.prepare()) == []
    session.bookmark("here")
    session.label(0, "old")
    session.save(other)
    assert [branch.label for branch in read_session(other).tree if branch.label][-1] == "here"
    assert read_session(other).header.world.weights == "0" * 64
