"""Games out of Gymnasium that we know more about than they say of themselves: names, keys, a simple player, what to crop.

The players here are no experts: they keep the game going (a rally in Pong, a car on its road), so that a recording shows more than failure.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from genie.data.games.game import NO_ADVICE, Game, Mood, Style
from genie.data.games.gym import Actions, GymSource, gym_game

ATARI_LICENCE = "research only: the game's ROM is its owner's; ale-py (GPL-2.0) plays it; recorded by genie"
ATARI_STEP = {"frameskip": 2, "repeat_action_probability": 0.0}  # 30 game steps a second
STEER = 0.6

CAR_ACTIONS: Actions = {
    "noop": (np.array([0, 0, 0], np.float32), ()),
    "left": (np.array([-STEER, 0, 0], np.float32), ("left",)),
    "right": (np.array([STEER, 0, 0], np.float32), ("right",)),
    "gas": (np.array([0, 0.6, 0], np.float32), ("up",)),
    "brake": (np.array([0, 0, 0.6], np.float32), ("down",)),
    "left+gas": (np.array([-STEER, 0.4, 0], np.float32), ("left", "up")),
    "right+gas": (np.array([STEER, 0.4, 0], np.float32), ("right", "up")),
}
PONG_ACTIONS: Actions = {"noop": (0, ()), "up": (2, ("up",)), "down": (3, ("down",))}
BREAKOUT_ACTIONS: Actions = {"noop": (0, ()), "left": (3, ("left",)), "right": (2, ("right",)), "serve": (1, ("jump",))}
LANDER_ACTIONS: Actions = {"noop": (0, ()), "left engine": (1, ("left",)), "main engine": (2, ("up",)), "right engine": (3, ("right",))}
CART_ACTIONS: Actions = {"left": (0, ("left",)), "right": (1, ("right",))}
HILL_ACTIONS: Actions = {"noop": (1, ()), "left": (0, ("left",)), "right": (2, ("right",))}

NAMED = {  # environments whose actions have better names than numbers
    "LunarLander-v3": LANDER_ACTIONS,
    "CartPole-v1": CART_ACTIONS,
    "MountainCar-v0": HILL_ACTIONS,
    "Acrobot-v1": HILL_ACTIONS,
}


def any_gym(environment: str, resolution: tuple[int, int] | None = None) -> Game:
    """Any environment by its id."""
    if environment.startswith("ALE/"):
        source = GymSource(environment, options=ATARI_STEP, rate=30.0, settle=(20, 120))
        return gym_game(source, resolution, licence=ATARI_LICENCE, research_only=True)
    return gym_game(GymSource(environment, actions=NAMED.get(environment)), resolution)


def car_racing(resolution: tuple[int, int] | None = None) -> Game:
    """CarRacing as the environment shows it to agents: 96×96 with the instruments below."""
    source = GymSource("CarRacing-v3", actions=CAR_ACTIONS, observed=True, settle=(55, 75), settle_action=0, advise=drive)
    moods = {
        "drive": Mood(0.7, None),
        "anything": Mood(0.2, (0.1, 0.15, 0.15, 0.2, 0.1, 0.15, 0.15)),
        "coast": Mood(0.1, (0.5, 0.15, 0.15, 0.0, 0.2, 0.0, 0.0)),
    }
    style = Style(moods, setting_out=0.8, mood_steps=120, hold_steps=9, repeat=3)
    return gym_game(source, resolution or (64, 64), "car-racing", style=style)


def pong(resolution: tuple[int, int] | None = None) -> Game:
    """Pong's field without the score: 160×160 pixels, shown at half the size."""
    source = GymSource("ALE/Pong-v5", ATARI_STEP, PONG_ACTIONS, 30.0, crop=(34, 0, 194, 160), settle=(20, 300), advise=meet_the_ball)
    moods = {"follow": Mood(0.7, None), "anything": Mood(0.3, (1.0, 1.0, 1.0))}
    style = Style(moods, setting_out=0.5, mood_steps=90)
    return gym_game(source, resolution or (80, 80), "pong", ATARI_LICENCE, style, research_only=True)


def breakout(resolution: tuple[int, int] | None = None) -> Game:
    """Breakout's field without the score, shown at half the size."""
    source = GymSource(
        "ALE/Breakout-v5", ATARI_STEP, BREAKOUT_ACTIONS, 30.0, crop=(32, 0, 192, 160), settle=(10, 600), advise=catch_the_ball
    )
    moods = {"follow": Mood(0.75, None), "anything": Mood(0.25, (0.25, 0.3, 0.3, 0.15))}
    style = Style(moods, setting_out=0.8, mood_steps=90)
    return gym_game(source, resolution or (80, 80), "breakout", ATARI_LICENCE, style, research_only=True)


def drive(env: Any) -> int:
    """Steer towards the road a little ahead, with gas while slow."""
    names = list(CAR_ACTIONS)
    hull = env.car.hull
    x, y = hull.position
    road = np.array([(point[2], point[3]) for point in env.track])
    nearest = int(np.argmin(((road - (x, y)) ** 2).sum(1)))
    speed = math.hypot(*hull.linearVelocity)
    ahead = road[(nearest + 3 + int(speed / 12)) % len(road)]
    forward = hull.GetWorldVector((0, 1))
    to = (ahead[0] - x, ahead[1] - y)
    angle = math.atan2(forward[0] * to[1] - forward[1] * to[0], forward[0] * to[0] + forward[1] * to[1])  # > 0: to the left
    if speed > 45 and abs(angle) > 0.5:
        return names.index("brake")
    gas = speed < (45 if abs(angle) < 0.25 else 30)
    if abs(angle) < 0.07:
        return names.index("gas" if gas else "noop")
    return names.index(("left" if angle > 0 else "right") + ("+gas" if gas else ""))


PONG_BALL_X, PONG_BALL_Y, PONG_PADDLE_Y = 49, 54, 51  # places in the console's 128 bytes of memory
BREAKOUT_BALL_X, BREAKOUT_BALL_Y, BREAKOUT_PADDLE_X = 99, 101, 72


def meet_the_ball(env: Any) -> int:
    """Pong: keep the paddle level with the ball."""
    ram = env.ale.getRAM().astype(int)
    if not ram[PONG_BALL_X]:
        return NO_ADVICE
    off = ram[PONG_BALL_Y] - ram[PONG_PADDLE_Y]
    return 0 if abs(off) <= 4 else (1 if off < 0 else 2)


def catch_the_ball(env: Any) -> int:
    """Breakout: keep the paddle under the ball, serve where there is none."""
    ram = env.ale.getRAM().astype(int)
    if not ram[BREAKOUT_BALL_Y]:
        return 3
    off = ram[BREAKOUT_BALL_X] - ram[BREAKOUT_PADDLE_X] - 8
    return 0 if abs(off) <= 4 else (1 if off < 0 else 2)


KNOWN: dict[str, Callable[[tuple[int, int] | None], Game]] = {"car-racing": car_racing, "pong": pong, "breakout": breakout}
