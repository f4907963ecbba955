"""Playing in a tree: nothing is thrown away, and every frame can be gone back to, to the bit."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import genie
from genie.runtime.rollout import Snapshot
from genie.sessions.session import Session
from genie.sessions.states import SPACING, StateStore
from tests.sessions.conftest import TAKE


def same_state(a: Snapshot, b: Snapshot) -> bool:
    """Whether two model states are equal to the bit, with all that a later edit would read."""
    ours, theirs = a.state.memory, b.state.memory
    return (
        (a.index, ours.index, ours.oldest) == (b.index, theirs.index, theirs.oldest)
        and np.array_equal(ours.keys, theirs.keys)
        and np.array_equal(ours.values, theirs.values)
        and np.array_equal(a.state.before, b.state.before)
        and np.array_equal(a.state.frame, b.state.frame)
        and np.array_equal(a.state.trail, b.state.trail)
        and [p.frame.tobytes() for p in a.history] == [p.frame.tobytes() for p in b.history]
        and [p.codes.tobytes() for p in a.history] == [p.codes.tobytes() for p in b.history]
    )


def state_at(session: Session, index: int, branch: int) -> Snapshot:
    """The state built from the record alone."""
    session._model().go((session.recording.owner(branch, index), index), fresh=True)
    return session._model().rollout.snapshot()


@pytest.mark.parametrize("index", [0, 1, 13, 66, 90, 149])
def test_any_frame_is_gone_back_to_as_if_nothing_had_come_after(played: Session, coinrun: genie.World, index: int) -> None:
    straight = coinrun.start(seed=5)
    for i in range(index):
        straight.step(TAKE[i % len(TAKE)])
    assert same_state(state_at(played, index, 0), straight.snapshot())


def test_a_state_after_an_edit_is_rebuilt_to_the_bit(coinrun: genie.World) -> None:
    session = Session.start(coinrun, seed=1)
    for i in range(80):
        session.step(TAKE[i % len(TAKE)])
    session.edit(255 - session.frame, stick=5)
    session.edit(session.frame[::-1].copy(), stick=3)  # an edit of the edited frame
    states = {}
    for i in range(70):
        session.step(TAKE[i % len(TAKE)])
        if i == 6:
            session.edit(session.frame[:, ::-1].copy(), stick=9)
        if i in (0, 5, 6, 7, 20, 69):
            states[session.index, session.branch] = session._model().rollout.snapshot()
    for (index, branch), state in states.items():
        assert same_state(state_at(session, index, branch), state)
    session.close()


def test_going_back_anywhere_takes_less_than_half_a_second(played: Session) -> None:
    """Steps taken again are counted, since a busy machine cannot change their number; each takes 10 ms on one core."""
    rng, spent = np.random.default_rng(0), []
    for branch in (0, 2, 3, 5) * 4:
        index = int(rng.integers(played.recording.branch(branch).end + 1))
        began = time.process_time()  # of this process: other programs do not count
        played.seek(index, branch)
        spent.append(time.process_time() - began)
        assert played.steps_again <= SPACING
    assert np.median(spent) < 0.5 and max(spent) < 2.0
    played.seek(140, 0)


@pytest.mark.parametrize(("index", "branch"), [(63, 0), (127, 2), (93, 4)])
def test_a_kept_state_leads_to_the_same_as_the_record_alone(played: Session, index: int, branch: int) -> None:
    played._model()._states.clear()  # those of places that were gone to
    played.seek(0, 0)
    played.seek(index, branch)
    found = played._model().rollout.snapshot()
    assert played.steps_again <= SPACING
    assert same_state(state_at(played, index, branch), found)
    played.seek(140, 0)


def test_an_opened_session_that_was_prepared_goes_back_in_as_few_steps(played: Session, coinrun: genie.World, tmp_path: Path) -> None:
    played.save(tmp_path / "play.session")
    opened = Session.open(tmp_path / "play.session", coinrun)
    opened.seek(130, 0)
    assert opened.steps_again > SPACING  # nothing is at hand yet
    assert sum(1 for _ in opened.prepare()) > 0
    assert sum(1 for _ in opened.prepare()) == 0  # what is there is not made again
    for index in (120, 40, 99):
        opened.seek(index, 0)
        assert opened.steps_again <= SPACING
        assert same_state(opened._model().rollout.snapshot(), state_at(played, index, 0))
    opened.close()
    played.seek(140, 0)


def test_acting_after_going_back_begins_a_branch_and_throws_nothing_away(coinrun: genie.World) -> None:
    session = Session.start(coinrun, seed=2)
    frames = [session.frame, *(session.step(action) for action in TAKE[:20])]
    session.seek(8)
    assert (session.branch, session.index) == (0, 8)
    other = session.step("left")
    assert (session.branch, session.index, len(session.tree)) == (1, 9, 2)
    assert [np.array_equal(session.frame_at(i, 0), frame) for i, frame in enumerate(frames)] == [True] * 21
    assert np.array_equal(session.frame_at(9), other)
    assert np.array_equal(session.frame_at(5), frames[5])  # the path to the branch goes through the root
    session.seek(20, 0)
    session.step("noop")  # at its end a branch goes on
    assert session.tree[0].length == 21
    session.seek(4, 1)  # before the branch point: what is begun here leaves the root
    session.step("right")
    assert (session.tree[2].parent, session.tree[2].start) == (0, 4)
    assert [step.action_name for step in session.path()] == [*TAKE[:4], "right"]
    session.close()


def test_the_same_action_under_the_same_salt_is_the_same_frame_and_a_re_roll_another(coinrun: genie.World) -> None:
    session = Session.start(coinrun, seed=2)
    for action in TAKE[:16]:
        session.step(action)
    first = [session.frame_at(i) for i in range(17)]
    session.seek(6)
    session.step(TAKE[6])
    assert np.array_equal(session.frame, first[7])
    session.seek(6, 0)
    done = list(session.reroll_take(2))
    assert (session.branch, session.index) == (0, 6)
    numbers = sorted({number for number, _ in done})
    assert len(done) == 20
    for number in numbers:
        assert session.tree[number].kind == "re-roll"
        assert [step.action for step in session.path(number)] == [step.action for step in session.path(0)]
        assert any(not np.array_equal(session.frame_at(i, number), first[i]) for i in range(7, 17))
    assert len({session.tree[number].salt for number in (0, *numbers)}) == 3
    started = session.reroll_take(1)
    next(started)
    started.close()  # stopped half way: the cursor is back
    assert (session.branch, session.index) == (0, 6)
    session.close()


def test_a_branch_of_a_re_roll_keeps_its_salt_from_its_first_frame_on(coinrun: genie.World) -> None:
    session = Session.start(coinrun)
    session.step("right")
    (number,) = session.reroll()
    session.seek(1, number)
    rolled = session.step("right")
    session.seek(1, number)
    assert session.salt == session.tree[number].salt == 1
    assert np.array_equal(session.step("right"), rolled)
    assert session.tree[session.branch].parent == number
    session.close()


def test_an_edit_is_a_branch_that_can_be_undone_and_says_how_much_persists(played: Session) -> None:
    edit = next(branch for branch in played.tree if branch.kind == "edit")
    painted = played.world.prompts[3].frames[-1]
    assert edit.stick == 4
    assert np.array_equal(played.frame_at(edit.start, edit.id), painted)
    assert not np.array_equal(played.frame_at(edit.start, edit.parent), painted)
    share = played.edit_persistence(edit.id)
    assert share is not None
    assert 0.05 < share <= 1.0
    assert played.edit_persistence(0) is None
    played.seek(edit.start, edit.id)
    before = len(played.tree), played.recording.frames
    played.undo_to_branch_point()
    assert (played.branch, played.index) == (edit.parent, edit.start)
    assert (len(played.tree), played.recording.frames) == before
    played.seek(140, 0)


def test_trying_an_edit_leaves_the_session_where_it_was(coinrun: genie.World) -> None:
    session, plain = Session.start(coinrun, seed=4), Session.start(coinrun, seed=4)
    painted = coinrun.prompts[3].frames[-1]
    for one in (session, plain):
        one.step("right")
    share = session.try_edit(painted, 5, True)
    assert share is not None and 0.05 < share <= 1.0 and len(session.tree) == 1
    with pytest.raises(genie.GenieError, match="edited frame"):
        session.try_edit(painted[:8])
    assert np.array_equal(session.step("jump"), plain.step("jump"))
    plain.seek(1)
    plain.edit(painted, 5, True)
    for _ in range(30):
        plain.step("noop")
    assert plain.edit_persistence() == share and session.edit_persistence() is None


def test_what_comes_next_is_told_without_playing_it(coinrun: genie.World) -> None:
    session = Session.start(coinrun, seed=4)
    for _ in range(6):
        session.step("right")
    session.seek(3)
    ahead = {name: session.ahead(name, 4) for name in ("left", "jump")}
    assert (session.index, session.branch, len(session.tree), session.recording.frames) == (3, 0, 1, 6)
    assert not np.array_equal(ahead["left"], ahead["jump"])
    for name, frames in ahead.items():
        session.seek(3, 0)
        assert np.array_equal(frames, [session.step(name) for _ in range(4)])
    with pytest.raises(genie.GenieError, match="1 or more"):
        session.ahead("left", 0)
    session.close()


def test_of_a_long_prompt_the_end_counts_and_the_session_has_its_own_copy(coinrun: genie.World, tmp_path: Path) -> None:
    clip = np.resize(coinrun.prompts[0].frames, (300, 64, 64, 3))
    clip[-1] = coinrun.prompts[1].frames[-1]
    last = clip[-1].copy()
    session = Session.start(coinrun, clip)
    made = session.step("right")
    clip[:] = 0
    assert np.array_equal(session.frame_at(0), last)
    session.save(tmp_path / "long.session")
    session.close()
    again = Session.open(tmp_path / "long.session", coinrun)
    again.seek(0)
    assert np.array_equal(again.step("right"), made)
    again.close()


def test_what_is_pruned_is_marked_with_all_that_grows_from_it_and_can_come_back(coinrun: genie.World) -> None:
    session = Session.start(coinrun)
    for _ in range(4):
        session.step("right")
    session.seek(2)
    session.step("left")
    session.seek(2, 1)
    session.edit(255 - session.frame)
    with pytest.raises(genie.SessionError, match="cursor is on"):
        session.prune(2)
    session.undo_to_branch_point()
    session.seek(0, 0)
    session.prune(1)
    assert [branch.pruned for branch in session.tree] == [False, True, session.tree[2].parent == 1]
    session.prune(1, pruned=False)
    assert not any(branch.pruned for branch in session.tree)
    with pytest.raises(genie.SessionError, match="first branch"):
        session.prune(0)
    session.label(1, "a wall")
    assert session.tree[1].label == "a wall"
    session.close()


def test_the_newest_states_are_kept_and_the_oldest_written_over(coinrun: genie.World) -> None:
    rollout, store = coinrun.start(seed=7), StateStore(max_bytes=10 * 2**20)  # room for three
    states = {}
    for index in range(1, 24):
        rollout.step("right")
        states[index] = rollout.snapshot()
        store.put((0, index), states[index])
    assert list(store) == [(0, 21), (0, 22), (0, 23)]
    assert all(same_state(store.get((0, index)), states[index]) for index in (21, 22, 23))
    rollout.restore(store.get((0, 22)))
    assert same_state(rollout.snapshot(), states[22])
    store.close()


def test_a_bookmark_is_gone_to_and_never_grown(coinrun: genie.World) -> None:
    session = Session.start(coinrun)
    frames = [session.step("right") for _ in range(5)]
    session.seek(3)
    number = session.bookmark("here")
    session.seek(5)
    session.seek(session.tree[number].start, number)
    assert np.array_equal(session.frame, frames[2])
    session.step("left")
    assert session.tree[number].length == 0
    assert session.tree[session.branch].parent == 0
    session.close()


def test_steps_keep_what_was_done(played: Session) -> None:
    path = played.path(0)
    assert len(path) == 150
    assert path[1].keys == ("d",)
    assert path[1].latency_ms == 12.5
    assert path[0].latency_ms is None
    assert path[0].step_ms > 0
    assert [step.action_name for step in path] == [TAKE[i % len(TAKE)] for i in range(150)]
    assert path[7].tokens.shape == path[7].settled.shape == played.world.engine.codec.token_shape
    assert [step.index for step in path[10:13]] == [11, 12, 13]
    assert path[-1].index == 150
    assert np.array_equal(path.actions, [step.action for step in path])


def test_sessions_need_no_torch() -> None:
    code = (
        "import sys, genie.cli.session, genie.sessions.session, genie.sessions.replay, genie.sessions.export; print('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "False"


def test_what_is_out_of_reach_is_refused(played: Session) -> None:
    for wrong in (-1, 151):
        with pytest.raises(genie.SessionError, match="0 … 150"):
            played.seek(wrong, 0)
        with pytest.raises(genie.SessionError, match="0 … 150"):
            played.frame_at(wrong, 0)
    with pytest.raises(genie.SessionError, match="no branch 99"):
        played.seek(0, 99)
    with pytest.raises(genie.GenieError, match="no action"):
        played.step("fly")
    with pytest.raises(genie.GenieError, match="re-roll 0 times"):
        played.reroll(0)
    branches = len(played.tree)
    for stick in (0, 10_001):
        with pytest.raises(genie.GenieError, match="1 to 10,000"):
            played.edit(played.frame, stick)
    with pytest.raises(genie.GenieError, match="must be uint8"):
        played.edit(played.frame[:32], 3)
    assert len(played.tree) == branches
    assert (played.branch, played.index) == (0, 140)
