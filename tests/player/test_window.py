"""A real window on SDL's dummy driver, the shipped world, posted key events."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pygame
import pytest
from PIL import Image
from player.window import PlayWindow, display_available

import genie

ARTEFACTS = Path(__file__).parent.parent / "artefacts"


class Driver:
    """Runs the window in this thread and a scenario beside it."""

    def __init__(self, world: genie.World) -> None:
        self.window = PlayWindow(world, lambda: world.start(seed=1), scale=8)
        self._failure: BaseException | None = None

    def run(self, scenario: Callable[[Driver], None]) -> None:
        def play() -> None:
            try:
                scenario(self)
            except BaseException as error:
                self._failure = error
            finally:
                self.post(pygame.QUIT)

        thread = threading.Thread(target=play)
        thread.start()
        self.window.run(max_seconds=60)
        thread.join()
        if self._failure is not None:
            raise self._failure

    def post(self, kind: int, **values: object) -> None:
        pygame.event.post(pygame.event.Event(kind, **values))

    def wait(self, what: Callable[[], bool], seconds: float = 15.0) -> None:
        deadline = time.monotonic() + seconds
        while not what():
            assert time.monotonic() < deadline, "waited in vain"
            time.sleep(0.002)


@pytest.fixture
def driver(coinrun: genie.World) -> Iterator[Driver]:
    made = Driver(coinrun)
    yield made
    pygame.quit()


def test_keys_act_and_the_picture_is_the_worlds_frame(driver: Driver) -> None:
    model = driver.window.model

    def scenario(d: Driver) -> None:
        d.wait(lambda: model.newest.index >= 2)
        assert model.newest.action == "noop"
        d.post(pygame.KEYDOWN, key=pygame.K_RIGHT)
        d.wait(lambda: model.newest.action == "right")
        d.post(pygame.KEYDOWN, key=pygame.K_SPACE)
        d.wait(lambda: model.newest.action == "right+jump")
        d.post(pygame.KEYUP, key=pygame.K_SPACE)
        d.post(pygame.KEYUP, key=pygame.K_RIGHT)
        d.post(pygame.KEYDOWN, key=pygame.K_a)
        d.wait(lambda: model.newest.action == "left")
        d.post(pygame.KEYUP, key=pygame.K_a)
        d.post(pygame.KEYDOWN, key=pygame.K_w)  # up jumps where only jump exists
        d.wait(lambda: model.newest.action == "jump")
        d.post(pygame.KEYUP, key=pygame.K_w)
        d.post(pygame.KEYDOWN, key=pygame.K_4)
        d.wait(lambda: model.newest.action == "action 3")
        d.post(pygame.KEYUP, key=pygame.K_4)
        d.post(pygame.KEYDOWN, key=pygame.K_p)
        d.wait(lambda: model.paused)

        def shown() -> bool:
            frame = model.newest.frame.repeat(8, axis=0).repeat(8, axis=1)
            return np.array_equal(d.window.screenshot()[: frame.shape[0], : frame.shape[1]], frame)

        d.wait(shown)
        shot = d.window.screenshot()
        ARTEFACTS.mkdir(exist_ok=True)
        Image.fromarray(shot).save(ARTEFACTS / "play_window.png")
        assert shot[8 * 64 :].max() > 200  # the HUD's letters
        assert 0 < model.figures.milliseconds(50) <= model.figures.milliseconds(99)

    driver.run(scenario)


def test_a_tap_between_two_frames_reaches_the_world(driver: Driver) -> None:
    model = driver.window.model

    def scenario(d: Driver) -> None:
        for _ in range(5):
            index = model.newest.index
            d.wait(lambda index=index: model.newest.index > index)
            seen: list[str] = []
            d.post(pygame.KEYDOWN, key=pygame.K_SPACE)
            d.post(pygame.KEYUP, key=pygame.K_SPACE)
            start = model.newest.index
            while model.newest.index < start + 4:
                seen.append(model.newest.action)
                time.sleep(0.002)
            assert "jump" in seen

    driver.run(scenario)


def test_pause_stops_time_reset_starts_over_and_focus_loss_pauses(driver: Driver) -> None:
    model = driver.window.model

    def scenario(d: Driver) -> None:
        d.wait(lambda: model.newest.index >= 3)
        d.post(pygame.KEYDOWN, key=pygame.K_p)
        d.wait(lambda: model.paused)
        time.sleep(1.0)  # the step in flight ends
        index = model.newest.index
        time.sleep(0.3)
        assert model.newest.index == index
        d.post(pygame.KEYDOWN, key=pygame.K_r)
        d.wait(lambda: model.newest.index == 0)  # also while paused
        d.post(pygame.KEYDOWN, key=pygame.K_p)
        d.wait(lambda: model.newest.index >= 2)
        d.post(pygame.KEYDOWN, key=pygame.K_RIGHT)
        d.wait(lambda: model.newest.action == "right")
        d.post(pygame.WINDOWFOCUSLOST)
        d.wait(lambda: model.paused)
        d.post(pygame.KEYDOWN, key=pygame.K_p)
        d.wait(lambda: model.newest.action == "noop")  # the held key was forgotten

    driver.run(scenario)


def test_the_worlds_own_rate_is_kept(driver: Driver) -> None:
    model = driver.window.model

    def scenario(d: Driver) -> None:
        d.wait(lambda: model.newest.index >= 45, seconds=40)

    began = time.monotonic()
    driver.run(scenario)
    assert 44 / 15 - 0.1 < time.monotonic() - began < 2 * 45 / 15  # 15 frames a second, never faster


def test_two_keys_a_stick_and_a_pad_button_share_a_control(driver: Driver) -> None:
    model = driver.window.model

    def scenario(d: Driver) -> None:
        d.post(pygame.KEYDOWN, key=pygame.K_RIGHT)
        d.wait(lambda: model.newest.action == "right")
        d.post(pygame.JOYAXISMOTION, axis=0, value=0.01, instance_id=0)
        d.post(pygame.KEYDOWN, key=pygame.K_d)
        d.post(pygame.KEYUP, key=pygame.K_d)
        index = model.newest.index
        d.wait(lambda: model.newest.index >= index + 4)
        assert model.newest.action == "right"
        d.post(pygame.KEYUP, key=pygame.K_RIGHT)
        d.post(pygame.JOYAXISMOTION, axis=0, value=-1.0, instance_id=0)
        d.wait(lambda: model.newest.action == "left")
        d.post(pygame.JOYBUTTONDOWN, button=0, instance_id=0)
        d.wait(lambda: model.newest.action == "left+jump")
        d.post(pygame.JOYAXISMOTION, axis=0, value=0.0, instance_id=0)
        d.wait(lambda: model.newest.action == "jump")
        d.post(pygame.JOYBUTTONUP, button=0, instance_id=0)
        d.wait(lambda: model.newest.action == "noop")

    driver.run(scenario)


def test_escape_and_the_close_button_leave(coinrun: genie.World) -> None:
    for kind, values in ((pygame.KEYDOWN, {"key": pygame.K_ESCAPE}), (pygame.QUIT, {})):
        window = PlayWindow(coinrun, lambda: coinrun.start(seed=1), scale=2)
        pygame.event.post(pygame.event.Event(kind, **values))
        began = time.monotonic()
        window.run(max_seconds=30)
        assert time.monotonic() - began < 15


def test_an_error_in_the_model_thread_reaches_the_user(coinrun: genie.World) -> None:
    window = PlayWindow(coinrun, lambda: coinrun.start(seed=1), scale=2)
    window.model._rollout._batch.engine = None  # type: ignore[assignment]
    with pytest.raises(genie.GenieError, match="the world stopped"):
        window.run(max_seconds=30)


def test_a_dummy_display_that_was_asked_for_counts_as_one() -> None:
    assert display_available()
