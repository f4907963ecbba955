import torch

from genie.motion import MotionHead
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
        loss = head.loss(head(frames, actions), following)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    frames, actions, following = batch(1000)
    assert (head.choose(head(frames, actions)) == following).float().mean() > 0.8
