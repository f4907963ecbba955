"""A person records: the real game in a window on SDL's dummy driver, posted keys, nothing lost."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pygame
import pytest

from genie.data.coinrun import game
from genie.data.human import HumanRecording
from genie.data.store import Dataset, DatasetWriter
from genie.errors import DatasetError
from player.record_window import RecordWindow


def press(window: RecordWindow, key: int, kind: int = pygame.KEYDOWN) -> None:
    window.handle(pygame.event.Event(kind, key=key))


def test_what_a_person_plays_is_in_the_dataset_under_the_keys_held(tmp_path: Path) -> None:
    recording = HumanRecording(tmp_path / "d", game(), train_frames=80, held_out_frames=20, seed=1, consent="given")
    window = RecordWindow(recording)
    pygame.event.clear()
    pygame.event.post(pygame.event.Event(pygame.KEYDOWN, key=pygame.K_RIGHT))
    pygame.event.post(pygame.event.Event(pygame.KEYDOWN, key=pygame.K_SPACE))
    pygame.event.post(pygame.event.Event(pygame.KEYUP, key=pygame.K_SPACE))  # a tap between two frames
    window.run()
    assert recording.close()
    dataset = Dataset(tmp_path / "d")
    names = [dataset.info.action_names[a] for a in dataset.split("train").actions[:8]]
    assert names == ["right+jump", "right+jump", "right", "right", "right", "right", "right", "right"]
    assert dataset.split("held_out").level_seeds.min() >= 1_000_000
    assert len(dataset.split("held_out")) == 20
    assert dataset.info.recipe["policy"] == "human"
    assert dataset.info.recipe["consent"] == "given"
    frames = np.asarray(dataset.split("train").frames[:20]).astype(int)
    assert np.abs(frames[-1] - frames[0]).max() > 50  # the game went on


def test_a_stopped_recording_goes_on_and_can_be_closed_with_what_is_there(tmp_path: Path) -> None:
    for _ in range(2):
        recording = HumanRecording(tmp_path / "d", game(), train_frames=600, held_out_frames=300, seed=1, consent="given")
        window = RecordWindow(recording)
        press(window, pygame.K_LEFT)
        for _ in range(30):
            window._step()
        press(window, pygame.K_ESCAPE)
        window.run()
        assert not recording.close()
    with pytest.raises(DatasetError, match="genie dataset finish"):
        Dataset(tmp_path / "d")
    DatasetWriter.reopen(tmp_path / "d").finish()
    dataset = Dataset(tmp_path / "d")
    assert dataset.info.frames == {"train": 30, "held_out": 30}
    assert dataset.split("train").frames.shape == (30, 64, 64, 3)


def test_the_window_waits_for_the_first_key_and_pauses_without_the_focus(tmp_path: Path) -> None:
    recording = HumanRecording(tmp_path / "d", game(), train_frames=100, held_out_frames=100, seed=1, consent="given")
    window = RecordWindow(recording)
    pygame.event.clear()
    window.run(max_seconds=0.2)
    assert recording.frames == 0
    window = RecordWindow(recording)
    press(window, pygame.K_LEFT)
    window.draw()
    shown = window.screenshot()
    scale = 10
    assert np.array_equal(shown[: 64 * scale : scale, : 64 * scale : scale], recording.frame)
    window.handle(pygame.event.Event(pygame.WINDOWFOCUSLOST))
    assert window._paused
    pygame.quit()


@pytest.mark.parametrize(("resolution", "scale"), [((64, 96), 6), ((128, 128), 5)])
def test_other_sizes_are_enlarged_by_a_whole_number(resolution: tuple[int, int], scale: int, tmp_path: Path) -> None:
    recording = HumanRecording(tmp_path / "d", game(resolution), train_frames=100, held_out_frames=100, seed=1, consent="given")
    window = RecordWindow(recording)
    window.draw()
    shown = window.screenshot()
    height, width = (side * scale for side in resolution)
    assert shown.shape[1] == width
    assert np.array_equal(shown[:height:scale, :width:scale], recording.frame)
    assert np.array_equal(shown[scale - 1 : height : scale, scale - 1 : width : scale], recording.frame)
    pygame.quit()
