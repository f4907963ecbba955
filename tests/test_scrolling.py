import torch

from genie.motion import MotionHead, trails
from tokenizer.motion import move

REACH = (10, 6)


def test_the_head_learns_that_the_picture_falls_faster_and_what_an_action_does() -> None:
    torch.manual_seed(0)
    head = MotionHead((64, 64), REACH, actions=2, width=64)
    optimizer = torch.optim.AdamW(head.parameters(), lr=3e-3)
    generator = torch.Generator().manual_seed(1)

    def blocks(seed: int) -> torch.Tensor:
        """Frames of coarse coloured blocks, float [32, 3, 64, 64]."""
        colours = torch.rand(32, 3, 16, 16, generator=torch.Generator().manual_seed(seed)) * 2 - 1
        return colours.repeat_interleave(4, 2).repeat_interleave(4, 3)

    def batch(seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        first = blocks(seed)
        speed = torch.randint(-4, 5, (32, 2), generator=generator)
        actions = torch.randint(0, 2, (32,), generator=generator)
        following = speed + torch.stack([torch.full_like(actions, -2), 2 * actions - 1], dim=1)  # gravity; left or right
        return torch.cat([first, move(first, speed)], dim=1), actions, following

    for step in range(120):
        frames, actions, following = batch(step)
        loss = head.loss(head(frames, actions, torch.zeros(32, 0, 3, dtype=torch.int64)), following)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    frames, actions, following = batch(1000)
    found = head.choose(head(frames, actions, torch.zeros(32, 0, 3, dtype=torch.int64)))
    assert (found == following).float().mean() > 0.8


def test_a_trail_holds_the_newest_step_first_and_nothing_from_before_the_sequence() -> None:
    motion = torch.tensor([[[3, -1], [0, 2], [-10, 6]]])
    found = trails(motion, torch.tensor([[1, 0, 1]]), 2, REACH)
    assert found.shape == (1, 3, 2, 3)
    assert found[0, 0].tolist() == [[0, 0, 0], [0, 0, 0]]
    assert found[0, 1].tolist() == [[14, 6, 2], [0, 0, 0]]
    assert found[0, 2].tolist() == [[11, 9, 1], [14, 6, 2]]
    assert trails(motion, torch.tensor([[1, 0, 1]]), 0, REACH).shape == (1, 3, 0, 3)


def test_a_trail_tells_what_two_frames_hide() -> None:
    """The picture goes right by one pixel every second step; the last two frames alone leave a coin to toss."""
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(1)
    right = {}
    for steps in (0, 3):
        head = MotionHead((64, 64), REACH, actions=1, width=32, trail=steps)
        optimizer = torch.optim.AdamW(head.parameters(), lr=3e-3)
        pictures = torch.rand(64, 3, 16, 16, generator=generator).repeat_interleave(4, 2).repeat_interleave(4, 3) * 2 - 1
        for step in range(80):
            phase = torch.randint(0, 3, (64, 1), generator=generator)
            columns = torch.where((phase + torch.arange(4)) % 3 == 2, 2, 1)  # 1, 1, 2, 1, 1, 2, …
            motion = torch.stack([torch.zeros_like(columns), columns], dim=-1)
            frames = torch.cat([pictures, move(pictures, motion[:, -2])], dim=1)
            trail = trails(motion, torch.zeros(64, 4, dtype=torch.int64), steps, REACH)[:, -1]
            logits = head(frames, torch.zeros(64, dtype=torch.int64), trail)
            if step < 79:
                loss = head.loss(logits, motion[:, -1])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        right[steps] = (head.choose(logits) == motion[:, -1]).all(1).float().mean().item()
    assert right[3] > 0.95 > right[0]
