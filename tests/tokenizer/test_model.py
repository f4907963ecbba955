"""The tokenizer: shapes, exact byte rounding, code round trips, both modes."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tokenizer import TokenizerConfig
from tokenizer.model import VideoTokenizer, round_to_uint8_grid, to_float, to_uint8

SMALL = {"width": 16, "blocks": 1}


def test_every_byte_survives_the_way_to_float_and_back() -> None:
    frames = torch.arange(256, dtype=torch.uint8).reshape(1, 16, 16, 1).expand(-1, -1, -1, 3)
    assert torch.equal(to_uint8(to_float(frames)), frames)


def test_the_memory_layout_of_a_frame_leaves_no_trace() -> None:
    model = VideoTokenizer(TokenizerConfig(**SMALL)).eval()
    frame = torch.randint(256, (1, 64, 64, 3), dtype=torch.uint8)
    strided = frame.permute(0, 3, 1, 2).contiguous().permute(0, 2, 3, 1)
    assert torch.equal(frame, strided)
    assert frame.stride() != strided.stride()
    codes = torch.randint(1000, (1, 16, 4))
    with torch.no_grad():
        made = [model.decode(to_float(x), codes) for x in (frame, strided)]
    assert torch.equal(*made)


def test_rounding_gives_exactly_what_is_shown_and_passes_the_gradient() -> None:
    x = (torch.rand(1, 3, 8, 8) * 2 - 1).requires_grad_()
    rounded = round_to_uint8_grid(x)
    assert torch.equal(to_uint8(rounded), to_uint8(x))
    rounded.sum().backward()
    assert torch.equal(x.grad, torch.ones_like(x))


@pytest.mark.parametrize("config", [TokenizerConfig(**SMALL), TokenizerConfig(mode="per-frame", stride=8, codes=2, **SMALL)])
def test_codes_have_the_configured_shape_and_decode_to_the_same_frame(config: TokenizerConfig) -> None:
    torch.manual_seed(0)
    model = VideoTokenizer(config).eval()
    previous, frame = torch.rand(2, 3, 64, 64) * 2 - 1, torch.rand(2, 3, 64, 64) * 2 - 1
    with torch.no_grad():
        painted, codes = model(previous, frame)
        assert codes.shape == (2, config.positions, config.codes)
        assert codes.min() >= 0
        assert codes.max() < config.vocabulary
        assert torch.equal(codes, model.encode(previous, frame))
        torch.testing.assert_close(model.decode(previous, codes), painted, atol=1e-5, rtol=0)


def test_per_frame_mode_ignores_the_previous_frame() -> None:
    model = VideoTokenizer(TokenizerConfig(mode="per-frame", stride=8, codes=2, **SMALL)).eval()
    frame = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(model.encode(torch.zeros_like(frame), frame), model.encode(frame, frame))


def test_a_steady_decoder_is_the_same_but_for_codes_whose_summary_is_long() -> None:
    torch.manual_seed(0)
    loose, steady = (VideoTokenizer(TokenizerConfig(steady=on, **SMALL)).eval() for on in (False, True))
    past, codes = torch.rand(3, 3, 64, 64) * 2 - 1, torch.randint(1000, (3, 16, 4))
    with torch.no_grad():
        for block in (block for stack in loose.decoder.stacks for block in stack.blocks):
            block.second.weight.normal_(std=0.1)  # blocks begin as the identity
        steady.load_state_dict(loose.state_dict())
        assert torch.equal(loose.decode(past, codes), steady.decode(past, codes))
        for model in (loose, steady):
            model.decoder.summary[3].weight *= 1000
        assert loose.decode(past, codes).abs().max() > 100 * steady.decode(past, codes).abs().max()


def test_a_centred_decoder_paints_its_games_codes_as_before_and_others_as_if_they_were_like_them() -> None:
    torch.manual_seed(0)
    loose, centred = (VideoTokenizer(TokenizerConfig(steady=on, centred=on, **SMALL)).eval() for on in (False, True))
    for block in (block for stack in loose.decoder.stacks for block in stack.blocks):
        block.second.weight.data.normal_(std=0.1)  # blocks begin as the identity
    assert centred.load_state_dict(loose.state_dict(), strict=False).missing_keys == ["decoder.usual", "decoder.farthest"]
    past, codes = torch.rand(200, 3, 64, 64) * 2 - 1, torch.randint(1000, (200, 16, 4))
    values = loose.values(codes)
    centred.decoder.centre(values)
    with torch.no_grad():
        near = torch.isclose(loose.decoder(values, past), centred.decoder(values, past), atol=1e-4).flatten(1).all(1)
        assert near.float().mean() > 0.97  # but for the rarest
        strange = 6 * values[:1]
        found = centred.decoder.summary(strange)
        assert (found - centred.decoder.usual).norm() > 2 * centred.decoder.farthest
        heard: list[torch.Tensor] = []
        centred.decoder.stacks[0].register_forward_pre_hook(lambda module, inputs: heard.append(inputs[1]))
        centred.decoder(strange, past[:1])
    assert torch.isclose((heard[0] - centred.decoder.usual).norm(), centred.decoder.farthest[0], rtol=1e-3)


def test_a_decoder_that_keeps_all_shows_the_frame_before_and_begins_with_little_of_it() -> None:
    torch.manual_seed(0)
    plain, keeping = (VideoTokenizer(TokenizerConfig(keeps=on, **SMALL)).eval() for on in (False, True))
    assert set(keeping.state_dict()) - set(plain.state_dict()) == {"decoder.keep.weight", "decoder.keep.bias"}
    keeping.load_state_dict(plain.state_dict(), strict=False)
    past, codes = torch.rand(2, 3, 64, 64) * 2 - 1, torch.randint(1000, (2, 16, 4))
    with torch.no_grad():
        painted, first = plain.decode(past, codes), keeping.decode(past, codes)
        torch.testing.assert_close(first - painted, 0.0474 * (past - painted), atol=1e-3, rtol=0)  # the sigmoid of -3
        keeping.decoder.keep.bias.fill_(50.0)
        assert torch.equal(keeping.decode(past, codes), past)


def test_a_local_code_says_what_is_in_its_cell_and_is_heard_only_near_it() -> None:
    torch.manual_seed(0)
    model = VideoTokenizer(TokenizerConfig(mode="per-frame", resolution=(96, 96), local=True, **SMALL)).eval()
    with torch.no_grad():
        for block in (block for stack in model.decoder.stacks for block in stack.blocks):
            block.second.weight.normal_(std=0.1)  # blocks begin as the identity
        model.to_codes[1].weight.mul_(20)
        field = torch.zeros(1, 3, 96, 96)
        there = field.clone()
        there[..., 10:12, 20:23] = 1.0  # in the second row of cells, the third of a row: the first position, its code at the right
        elsewhere = torch.roll(there, (16, 32), (2, 3))
        empty, codes, moved = (model.encode(field, frame) for frame in (field, there, elsewhere))
        assert len(torch.unique(empty)) == 1
        assert (codes != empty).nonzero().tolist() == [[0, 1, 2]]
        assert (moved != empty).nonzero().tolist() == [[0, 6 + 3, 2]] and moved[0, 9, 2] == codes[0, 1, 2]
        changed = (model.decode(field, codes) != model.decode(field, empty)).any(1)[0]
        assert changed[8:16, 16:24].any() and not changed[56:].any() and not changed[:, 64:].any()


def test_a_world_that_is_neither_steady_nor_local_nor_keeps_is_written_as_before() -> None:
    assert not {"steady", "centred", "local", "keeps"} & set(TokenizerConfig().model_dump())
    made = TokenizerConfig.model_validate(TokenizerConfig(steady=True, keeps=True).model_dump())
    assert made.steady and made.keeps


@given(height=st.integers(1, 8), width=st.integers(1, 8))
def test_any_multiple_of_the_stride_is_a_resolution(height: int, width: int) -> None:
    config = TokenizerConfig(resolution=(16 * height, 16 * width))
    assert config.positions == height * width


@pytest.mark.parametrize(
    "wrong",
    [{"resolution": (60, 64)}, {"levels": (2, 5)}, {"codes": 0}, {"width": 4}, {"unknown": 1}, {"mode": "per-frame", "keeps": True}],
)
def test_a_configuration_that_cannot_be_built_is_refused(wrong: dict) -> None:
    with pytest.raises(ValidationError):
        TokenizerConfig(**wrong)
