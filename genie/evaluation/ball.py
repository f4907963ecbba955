"""Pong's ball: is it there, only once, does it fly straight, turn at the walls, and turn at the paddle if and only if the paddle is there.

The ball is one or two pixels, which no distance between pictures notices; here it is followed from frame to frame, in real clips and in a
world's rollouts alike. Positions are (row, column) in pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from genie.evaluation.intervals import mean_of
from genie.evaluation.report import Metric, Section

RESOLUTION = (80, 80)
BETWEEN = slice(11, 68)  # columns between the two paddles
PADDLE = slice(69, 73)  # columns of the player's paddle
PADDLE_COLUMN = 70
OPEN = (20, 58)  # columns from which the ball reaches no paddle in one frame
WALLS = (1.0, 78.0)  # rows where it turns
NEAR_WALL = 6  # rows from a wall in which a flight is not asked to be straight
ONE = 4  # pixels a side of the box that one ball fits in
STEP = 12.0  # pixels it goes in a frame at most
STRAIGHT = 2.5  # pixels that its next position may be off the line of the last two
SURE = 4.0  # rows between ball and paddle from which on it is sure that they do not meet
ARRIVAL = 58  # column from which on it comes to the paddle …
TURN = 5  # … and is seen on its way back within so many frames, or is lost


def ball_pixels(frames: np.ndarray) -> np.ndarray:
    """uint8 [..., 80, 80, 3] -> bool: whitish, which neither field (brown) nor paddles (orange, green) are."""
    red, green = frames[..., 0].astype(np.int16), frames[..., 1].astype(np.int16)
    return np.asarray((frames.min(-1) > 95) & (red - green > -50))


def paddle_pixels(frames: np.ndarray) -> np.ndarray:
    """uint8 [..., 80, 80, 3] -> bool [..., 80]: rows of the player's paddle, which is green."""
    red, green = frames[..., PADDLE, 0].astype(np.int16), frames[..., PADDLE, 1].astype(np.int16)
    return np.asarray((green - red > 40).any(-1))


@dataclass(frozen=True)
class Flight:
    """What is seen of ball and paddle in clips."""

    ball: np.ndarray  # float [B, T, 2]; NaN where there is none between the paddles
    several: np.ndarray  # bool [B, T]: what is there is no one ball
    paddle: np.ndarray  # float [B, T, 2]: first and last row of the player's paddle; NaN where there is none


def follow(frames: np.ndarray) -> Flight:
    """uint8 [B, T, 80, 80, 3] -> where ball and paddle are."""
    pixels: np.ndarray = ball_pixels(frames)[..., BETWEEN]
    there = np.asarray(pixels.any((-1, -2)))
    rows, columns = (_middle_and_extent(np.asarray(pixels.any(axis))) for axis in (-1, -2))
    several = there & ((rows[1] > ONE) | (columns[1] > ONE))
    ball = np.where(there[..., None], np.stack([rows[0], columns[0] + BETWEEN.start], axis=-1), np.nan)
    green: np.ndarray = paddle_pixels(frames)
    middle, height = _middle_and_extent(green)
    edges = np.stack([middle - (height - 1) / 2, middle + (height - 1) / 2], axis=-1)
    paddle = np.where(green.any(-1, keepdims=True), edges, np.nan)
    return Flight(ball, several, paddle)


def _middle_and_extent(line: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """bool [..., N] -> middle and length of what holds."""
    first, last = line.argmax(-1), line.shape[-1] - 1 - line[..., ::-1].argmax(-1)
    return (first + last) / 2, last - first + 1


def flies(flight: Flight) -> dict[str, np.ndarray]:
    """What each clip shows, float [B, n]: 1 as it should be, 0 not, NaN where it is not to be judged.

    "alone": frames with a ball, whether it is one. "goes_on": the ball is in the open; whether it is one frame later, near. "straight": two
    steps in the open; whether the second goes on where the first went. "bounces": it flies at a wall that the next step would go beyond;
    whether it goes back two frames later (it may be out of view between). "paddle": it comes to the player's paddle; whether it turns
    exactly if the paddle is there.
    """
    ball, one = flight.ball, np.isfinite(flight.ball[..., 0]) & ~flight.several
    some = np.isfinite(ball[..., 0])
    open_ = one & (ball[..., 1] >= OPEN[0]) & (ball[..., 1] <= OPEN[1])
    step = np.diff(ball, axis=1)
    near = one[:, 1:] & (np.abs(step) <= STEP).all(-1)
    in_view = open_[:, :-1] & (np.abs(ball[:, :-1, 0] - sum(WALLS) / 2) < sum(WALLS) / 2 - NEAR_WALL)  # at a wall it may go out of it
    found = {"alone": np.where(some, one, np.nan), "goes_on": np.where(in_view, near, np.nan)}
    before, now, after = ball[:, :-2], ball[:, 1:-1], ball[:, 2:]
    moving = open_[:, 1:-1] & near[:, :-1]
    ahead = 2 * now - before
    inside = (ahead[..., 0] > WALLS[0] + NEAR_WALL) & (ahead[..., 0] < WALLS[1] - NEAR_WALL)
    level = np.abs(after - ahead).max(-1) <= STRAIGHT
    found["straight"] = np.where(moving & inside, level & one[:, 2:], np.nan)
    beyond = ((ahead[..., 0] < WALLS[0] - 1) | (ahead[..., 0] > WALLS[1] + 1)) & moving
    found["bounces"] = np.where(beyond[:, :-2], one[:, 4:] & near[:, 3:] & (step[:, 3:, 0] * step[:, :-3, 0] < 0), np.nan)
    found["paddle"] = _at_paddle(flight, one, near)
    return {name: values.astype(float) for name, values in found.items()}


def _at_paddle(flight: Flight, one: np.ndarray, near: np.ndarray) -> np.ndarray:
    """float [B, T]: at the last frame before the ball reaches the paddle, whether what comes of it is as the paddle says."""
    ball, found = flight.ball, np.full(one.shape, np.nan)
    for clip in range(len(ball)):
        for t in range(1, one.shape[1] - TURN):
            row, column = ball[clip, t]
            speed = ball[clip, t] - ball[clip, t - 1]
            comes = one[clip, t] and near[clip, t - 1] and column >= ARRIVAL and speed[1] > 0.5 and column + speed[1] >= BETWEEN.stop - 1
            if not comes:
                continue
            frames = (PADDLE_COLUMN - column) / speed[1]
            row = row + speed[0] * frames
            row = min(max(row, 2 * WALLS[0] - row), 2 * WALLS[1] - row)  # mirrored at a wall
            first, last = flight.paddle[clip, min(t + max(1, round(frames)), one.shape[1] - 1)]
            off = max(first - row, row - last)
            if not (np.isfinite(off) and (off <= 0 or off >= SURE)):
                continue
            later = ball[clip, t + 1 : t + 1 + TURN, 1]
            back = bool((np.diff(later) < -0.5).any())
            found[clip, t] = back == (off <= 0)
    return found


SAYS = {
    "alone": "frames with a ball that show one, not more",
    "goes_on": "a ball in the open is there in the next frame, once",
    "straight": "in the open it flies on straight",
    "bounces": "it turns at a wall",
    "paddle": "at the player's paddle it turns exactly if the paddle is there",
}


def ball_section(clips: dict[str, np.ndarray], episodes: dict[str, np.ndarray], seed: int = 0) -> Section:
    """Clips of "world" and "real", uint8 [B, T, 80, 80, 3], each with the episode it is of, int [B]."""
    flights = {label: follow(frames) for label, frames in clips.items()}
    judged = {label: flies(flight) for label, flight in flights.items()}
    metrics = []
    for name, title in SAYS.items():
        estimates = {label: mean_of(found[name], episodes[label], seed) for label, found in judged.items()}
        count = int(np.isfinite(judged["world"][name]).sum())
        metrics.append(Metric(name=f"ball_{name}", title=title, world=estimates["world"], real=estimates["real"], headline=True,
                              note=f"{count} moments"))  # fmt: skip
    for name, title, values in (
        ("ball_there", "frames with a ball between the paddles", {k: np.isfinite(f.ball[..., 0]) for k, f in flights.items()}),
        ("paddle_there", "frames with the player's paddle", {k: np.isfinite(f.paddle[..., 0]) for k, f in flights.items()}),
    ):
        world, real = (mean_of(values[label].astype(float), episodes[label], seed) for label in ("world", "real"))
        metrics.append(Metric(name=name, title=title, better="neither", world=world, real=real, headline=True))
    return Section(name="ball", title="The ball", metrics=tuple(metrics))
