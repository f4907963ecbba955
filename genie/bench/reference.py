"""The reference sampler: the same weights and the same choice of codes, without a cache, as published samplers work.

Every sampling pass runs the whole window of frames through the dynamics again and throws all but the last slot away.
"""

from __future__ import annotations

from collections import deque

import numpy as np
import torch

from genie.bundle import Bundle
from genie.dynamics import Dynamics
from genie.motion import trails
from genie.runtime.graphs import PaintGraph, choose, code_block
from genie.runtime.noise import uniform
from genie.weights import load_models
from tokenizer.model import to_float
from tokenizer.mosaic import Mosaic
from tokenizer.motion import move, within


class ReferenceSampler:
    """One rollout; starts with a window full of the first frame, so that every step costs the same."""

    def __init__(self, bundle: Bundle, frame: np.ndarray, seed: int = 0, device: str = "cpu") -> None:
        self._device = device
        tokenizer, _, dynamics = load_models(bundle)
        tokenizer.to(device)
        dynamics.to(device)
        self._block = code_block(dynamics.tokenizer)
        self._dynamics: Dynamics = dynamics
        self._paint, self._sampling, self._seed = PaintGraph(tokenizer), bundle.manifest.sampling, seed
        self._shape = (tokenizer.config.positions, tokenizer.config.codes)
        context = dynamics.config.context
        self._shown = Mosaic.of(frame[None], tokenizer.config).guessing(tokenizer.config.guess)
        self._around = deque([self._there(self._shown.around)] * (context + 1), maxlen=context + 1)  # frames with their margin
        self._codes = deque([torch.zeros(1, *self._shape, dtype=torch.int64, device=device)] * (context - 1), maxlen=context - 1)
        self._motion = deque([torch.zeros(1, 2, dtype=torch.int64, device=device)] * (context - 1), maxlen=context - 1)
        self._actions = deque([torch.zeros(1, dtype=torch.int64, device=device)] * context, maxlen=context)
        self._index = 0

    @torch.inference_mode()
    def step(self, action: int) -> np.ndarray:
        """The next frame, uint8 [H, W, 3]."""
        sampling, device = self._sampling, self._device
        self._actions.append(torch.tensor([action], device=device))
        margin = self._dynamics.tokenizer.margin
        around = torch.stack([to_float(frame) for frame in self._around], dim=1)
        frames = within(around, margin)
        pairs = torch.cat([frames[:, :-1], frames[:, 1:]], dim=2)
        actions = torch.stack(list(self._actions), dim=1)
        past = torch.stack(list(self._codes), dim=1)
        codes = torch.zeros(1, *self._shape, dtype=torch.int64, device=device)
        known = torch.zeros_like(codes, dtype=torch.bool)
        noise = torch.from_numpy(uniform(self._seed, 0, self._index, (sampling.passes, 1, 2, *self._shape))).to(device)
        total = self._shape[0] * self._shape[1]
        for done in range(1, sampling.passes + 1):
            shown = torch.cat([torch.ones_like(past, dtype=torch.bool), known[:, None]], dim=1)
            motion = torch.stack([*self._motion, torch.zeros_like(self._motion[-1])], dim=1)
            trail = trails(motion, actions, self._dynamics.config.trail, self._dynamics.tokenizer.reach)
            motion[:, -1] = self._dynamics.expect(pairs, actions, trail)[:, -1]
            moved = move(around[:, 1:].flatten(0, 1), motion.flatten(0, 1), margin)[None]
            logits = self._dynamics(pairs, torch.cat([past, codes[:, None]], dim=1), shown, actions, moved)[:, -1]
            order = sampling.confidence_noise * (1 - done / sampling.passes)
            kept = sampling.kept_after(done, total)
            temperature, chance, keep = (torch.tensor(value, device=device) for value in (sampling.temperature, order, kept))
            codes, known = choose(logits, codes, known, noise[done - 1], temperature, chance, keep, self._block)
        made = self._paint(self._around[-1], codes, motion[:, -1]).cpu().numpy()
        self._shown = self._shown.after(motion[:, -1].cpu().numpy(), made)
        self._around.append(self._there(self._shown.around))
        self._codes.append(codes)
        self._motion.append(motion[:, -1])
        self._index += 1
        return made[0]

    def _there(self, frames: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(frames).to(self._device)
