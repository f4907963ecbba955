"""Pong's ball, followed: a played game as it should be, and each way in which a world gets it wrong."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from genie.evaluation.ball import ball_section, flies, follow

FIELD, PADDLE, BALL = (144, 72, 17), (92, 186, 92), (236, 236, 236)
FRAMES = 40


def game(
    path: Callable[[int], tuple[float, float] | None], paddle: Callable[[int], int], extra: tuple[int, int] | None = None
) -> np.ndarray:
    """One clip uint8 [1, FRAMES, 80, 80, 3]: where the ball's upper pixel and the paddle's first row are in each frame."""
    frames = np.full((FRAMES, 80, 80, 3), FIELD, np.uint8)
    for t, frame in enumerate(frames):
        top = paddle(t)
        frame[max(0, top) : top + 8, 70:72] = PADDLE
        for at in (path(t), extra):
            if at is not None and 0 <= at[0] < 80 and 0 <= at[1] < 80:
                frame[int(at[0]) : int(at[0]) + 2, int(at[1])] = BALL
    return frames[None]


def back_and_forth(t: int) -> tuple[float, float]:
    """To the right along row 40, back from the paddle at column 68."""
    along = 20 + 2 * t
    return 40, along if along <= 68 else 136 - along


def bouncing(t: int) -> tuple[float, float]:
    """Down to row 78, up to the top and down again, in the open."""
    down = (20 + 4 * t) % 156
    return (down if down <= 78 else 156 - down), 22 + t * 0.9


def share(frames: np.ndarray, name: str) -> float:
    return float(np.nanmean(flies(follow(frames))[name]))


def test_a_game_as_it_should_be() -> None:
    frames = game(back_and_forth, lambda t: 36)
    assert [share(frames, name) for name in ("alone", "goes_on", "straight", "paddle")] == [1, 1, 1, 1]
    assert share(game(bouncing, lambda t: 36), "bounces") == 1


@pytest.mark.parametrize(
    ("name", "frames"),
    [
        ("alone", game(back_and_forth, lambda t: 36, extra=(10, 30))),
        ("goes_on", game(lambda t: None if t % 4 == 3 else back_and_forth(t), lambda t: 36)),
        ("straight", game(lambda t: (40 + 5 * (t % 2), 20 + 0.9 * t), lambda t: 36)),
        ("bounces", game(lambda t: (20 + 4 * t, 22 + t * 0.9), lambda t: 36)),  # out through the wall
        ("paddle", game(back_and_forth, lambda t: 10)),  # turns although the paddle is far
        ("paddle", game(lambda t: (40, 20 + 2 * t), lambda t: 36)),  # goes through it
    ],
)
def test_each_way_to_get_it_wrong(name: str, frames: np.ndarray) -> None:
    assert share(frames, name) < 0.8


def test_a_ball_that_the_paddle_missed_may_go() -> None:
    assert share(game(lambda t: (40, 20 + 2 * t), lambda t: 10), "paddle") == 1


def test_the_section_sets_a_world_beside_the_real_game() -> None:
    real, wrong = game(back_and_forth, lambda t: 36), game(back_and_forth, lambda t: 36, extra=(10, 30))
    section = ball_section({"real": np.tile(real, (4, 1, 1, 1, 1)), "world": np.tile(wrong, (3, 1, 1, 1, 1))},
                           {"real": np.arange(4), "world": np.arange(3)})  # fmt: skip
    found = {metric.name: metric for metric in section.metrics}
    assert found["ball_alone"].world.value < 0.05 and found["ball_alone"].real.value == 1  # type: ignore[union-attr]
    assert found["ball_there"].world.value == 1 and found["paddle_there"].world.value == 1
