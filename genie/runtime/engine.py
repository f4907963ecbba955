"""The torch engine: the three models, and the step that makes one frame of B rollouts.

A `State` is all that a rollout is between two frames: the last two frames and the ring of keys and values. The engine
knows no names and no files; `Rollout` gives it seeds, `World` gives it weights.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from genie.dynamics import Cache, Dynamics
from genie.latent_actions import LatentActionModel
from genie.runtime import codec
from genie.runtime.sampling import Sampling, draw, unmask
from tokenizer import VideoTokenizer, to_float, to_uint8


@dataclass
class State:
    """Of B rollouts in step: the last two frames, uint8 [B, H, W, 3], and the cache."""

    before: np.ndarray
    frame: np.ndarray
    cache: Cache

    def copy(self) -> State:
        """An independent copy, to the bit."""
        return State(self.before.copy(), self.frame.copy(), self.cache.copy())


class TorchEngine:
    """Runs the models on one device, without gradients."""

    def __init__(
        self, tokenizer: VideoTokenizer, latent_actions: LatentActionModel, dynamics: Dynamics, device: str | torch.device = "cpu"
    ) -> None:
        self.device = torch.device(device)
        self.tokenizer = tokenizer.to(self.device).eval()
        self.latent_actions = latent_actions.to(self.device).eval()
        self.dynamics = dynamics.to(self.device).eval()
        self.dynamics.fold_tables()

    @property
    def noise_shape(self) -> tuple[int, int, int]:
        """Uniform numbers one pass needs for one rollout: [2, N, G], for the codes and for their order."""
        return (2, self.tokenizer.config.positions, self.tokenizer.config.codes)

    @property
    def context(self) -> int:
        """Slots the dynamics can look back."""
        return self.dynamics.config.context

    def start(self, frame: np.ndarray) -> State:
        """The state of B rollouts that show their first frame, uint8 [B, H, W, 3]."""
        return State(frame, frame, self.dynamics.new_cache(len(frame)))

    @torch.inference_mode()
    def step(self, state: State, actions: np.ndarray, noise: np.ndarray, sampling: Sampling) -> np.ndarray:
        """Make the next frame of every rollout.

        Args:
            actions: int [B], rows of the action table.
            noise: float32 [B, passes, 2, N, G] in [0, 1).

        Returns:
            The codes it drew, int64 [B, N, G]; `state.frame` is the new frame.
        """
        embedding = self._embed(state)
        action = torch.as_tensor(actions, device=self.device)[:, None]
        uniform = torch.from_numpy(noise).to(self.device)
        b, n, g = noise.shape[0], *noise.shape[-2:]
        codes = torch.zeros((b, n, g), dtype=torch.long, device=self.device)
        known = torch.zeros((b, n, g), dtype=torch.bool, device=self.device)
        for done in range(sampling.passes):
            logits = self.dynamics.step(embedding, codes[:, None], known[:, None], action, state.cache)
            drawn, probability = draw(logits, uniform[:, done, 0], sampling.temperature)
            codes, known = unmask(codes, known, drawn, probability, uniform[:, done, 1], sampling, done + 1)
        state.cache.index += 1
        previous = to_float(torch.from_numpy(state.frame).to(self.device))
        frame = to_uint8(self.tokenizer.decode(previous, codes))
        state.before, state.frame = state.frame, frame.cpu().numpy()
        return codes.cpu().numpy()

    @torch.inference_mode()
    def commit(self, state: State, actions: np.ndarray, codes: np.ndarray, frame: np.ndarray) -> None:
        """Put a known frame into the context: int [B], int [B, N, G], uint8 [B, H, W, 3]."""
        given = torch.as_tensor(codes, device=self.device)[:, None]
        action = torch.as_tensor(actions, device=self.device)[:, None]
        self.dynamics.step(self._embed(state), given, torch.ones_like(given, dtype=torch.bool), action, state.cache)
        state.cache.index += 1
        state.before, state.frame = state.frame, frame

    def encode(self, frames: np.ndarray) -> np.ndarray:
        """uint8 [B, T, H, W, 3] -> int64 [B, T-1, N, G]: what each frame adds to the last."""
        return codec.encode(self.tokenizer, frames)

    def encode_unrolled(self, frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The round trip on its own output: frames uint8 [B, T, H, W, 3] and codes [B, T-1, N, G]."""
        return codec.unrolled(self.tokenizer, frames)

    def decode(self, frame: np.ndarray, codes: np.ndarray) -> np.ndarray:
        """First frame uint8 [B, H, W, 3] and codes [B, T, N, G] -> uint8 [B, T, H, W, 3]."""
        return codec.decode(self.tokenizer, frame, codes)

    def infer_actions(self, frames: np.ndarray) -> np.ndarray:
        """uint8 [B, T, H, W, 3] -> int64 [B, T-1]: the latent action between neighbours."""
        return codec.infer_actions(self.latent_actions, frames)

    def _embed(self, state: State) -> Tensor:
        pair = np.stack([state.before, state.frame], axis=1)
        frames = to_float(torch.from_numpy(pair).to(self.device)).flatten(1, 2)
        return self.dynamics.embed_frames(frames[:, None])
