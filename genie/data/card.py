"""A dataset's card: where it comes from, under what terms, who played, what is in it. `card.json` and `CARD.md` beside the data.

This module reads and prints cards and needs nothing else; `genie.data.check` makes them. A world carries the card of its data.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from genie.errors import DatasetError

CARD_FILE = "card.json"
CARD_TEXT = "CARD.md"
RESEARCH_ONLY = "research only"  # what such a licence says
OPEN = re.compile(r"\b(MIT|BSD|Apache|ISC|Zlib|CC0|CC[ -]BY|Unlicense|public domain)\b", re.IGNORECASE)  # asks for a name at most …
BOUND = re.compile(r"\b(NC|ND|SA)\b|non-?commercial|research|reserved", re.IGNORECASE)  # … and where it asks for more
MAX_CARD_BYTES = 2**22
SCHEMA_VERSION = 1


class SplitFigures(BaseModel):
    """What is in one split. Statistics are of a sample of frames spread over it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    frames: int = Field(ge=0)
    episodes: int = Field(ge=0)
    levels: int = Field(ge=0)  # different levels, videos or scenes
    shortest: int = Field(ge=0)  # frames of the shortest episode
    longest: int = Field(ge=0)
    action_share: dict[str, float]  # empty where there are no labels
    action_entropy: float = Field(ge=0)  # bits; at most log2 of the number of actions
    brightness: float  # mean of all pixels and colours, 0 to 255
    contrast: float  # standard deviation of the same
    motion: float  # mean change of a pixel from one frame of the world to the next, 0 to 255
    still: float = Field(ge=0, le=1)  # share of those steps in which nothing moves


class Leaks(BaseModel):
    """How much of the held-out split is in the training split too."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    windows: int = Field(ge=0)  # stretches of about two seconds that were looked for
    copied: int = Field(ge=0)  # of them, found picture for picture
    shared_levels: int = Field(ge=0)
    hidden_cuts: int = Field(ge=0)  # what look like cuts inside episodes, both splits together


class DatasetCard(BaseModel):
    """Everything that a user of the data, or of a world made of it, may ask."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: int = SCHEMA_VERSION
    name: str = Field(max_length=200)
    source: str = Field(max_length=2000)
    licence: str = Field(max_length=2000)
    consent: str = Field(max_length=2000)  # of the people whose play it shows
    policy: str = Field(max_length=2000)  # who played
    resolution: tuple[int, int]  # height, width
    game_rate: float = Field(gt=0)
    frame_skip: int = Field(ge=1)
    actions: tuple[str, ...]
    splits: dict[str, SplitFigures]
    leaks: Leaks | None = None  # None: not looked for yet
    recipe: dict[str, Any]  # how to make it again: seeds, levels, options


def licence_known(licence: str) -> bool:
    """Whether anybody said under what terms data may be used."""
    return licence.strip().lower() not in ("", "unknown", "none", "?")


def licence_of_weights(licences: Iterable[str]) -> str:
    """Under what terms weights go that learned from data of these licences.

    What is for research only makes nothing that is for more; what asks for no more than its name to be said makes Apache-2.0; what else is
    asked holds for the weights as well.
    """
    told = dict.fromkeys(licence.strip() for licence in licences)
    if any(RESEARCH_ONLY in licence.lower().replace("-", " ") for licence in told):
        return RESEARCH_ONLY
    others = [licence or "unknown" for licence in told if not OPEN.search(licence) or BOUND.search(licence)]
    return "; ".join(f"as its data ({licence})" for licence in others) or "Apache-2.0"


def parse_card(text: bytes | str, where: str) -> DatasetCard:
    """A card out of its JSON.

    Raises:
        DatasetError: too long, or not a card.
    """
    if len(text) > MAX_CARD_BYTES:
        raise DatasetError(f"{where} is larger than {MAX_CARD_BYTES >> 20} MiB, too large for a card.")
    try:
        return DatasetCard.model_validate(json.loads(text))
    except (ValidationError, ValueError, RecursionError) as error:
        raise DatasetError(f"{where} is not a dataset's card ({error}); `genie dataset check` writes it again.") from error


def read_card(dataset: Path) -> DatasetCard | None:
    """The card beside a dataset; None where there is none."""
    path = dataset / CARD_FILE
    if not path.exists():
        return None
    with path.open("rb") as file:
        return parse_card(file.read(MAX_CARD_BYTES + 1), str(path))


def markdown(card: DatasetCard) -> str:
    """The card for people."""
    height, width = card.resolution
    lines = [
        f"# Data: {card.name}",
        "",
        f"- **Source:** {card.source}",
        f"- **Licence:** {card.licence}",
        f"- **Consent:** {card.consent}",
        f"- **Played by:** {card.policy}",
        f"- **Pictures:** {width}×{height}, {card.game_rate:g} game steps a second, {card.frame_skip} to a frame of the world",
        f"- **Leaks between training and held-out data:** {_leaks(card.leaks)}",
        "",
        "| split | frames | episodes (length) | levels | brightness | contrast | motion | still |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, split in card.splits.items():
        lines.append(
            f"| {name} | {split.frames:,} | {split.episodes:,} ({split.shortest:,}–{split.longest:,}) | {split.levels:,} | "
            f"{split.brightness:.1f} | {split.contrast:.1f} | {split.motion:.2f} | {split.still:.1%} |"
        )
    lines += ["", "## Actions", ""]
    if card.actions:
        splits = list(card.splits.items())
        lines += ["| action | " + " | ".join(name for name, _ in splits) + " |", "|---" * (len(splits) + 1) + "|"]
        for action in sorted({action for _, split in splits for action in split.action_share}, key=_order(card)):
            lines.append(f"| {action} | " + " | ".join(f"{split.action_share.get(action, 0.0):.1%}" for _, split in splits) + " |")
        lines.append("| *entropy, bits* | " + " | ".join(f"{split.action_entropy:.2f}" for _, split in splits) + " |")
    else:
        lines.append("None: the data shows what happened, not which keys were held.")
    return "\n".join([*lines, "", "## Recipe", "", "```json", json.dumps(card.recipe, indent=1, ensure_ascii=False), "```", ""])


def _order(card: DatasetCard) -> Any:
    places = {action: number for number, action in enumerate(card.actions)}
    return lambda action: places.get(action, len(places))


def _leaks(leaks: Leaks | None) -> str:
    if leaks is None:
        return "not looked for yet (`genie dataset check`)"
    return (
        f"{leaks.copied} of {leaks.windows} held-out stretches of two seconds are in the training split too; "
        f"{leaks.shared_levels} levels in both; {leaks.hidden_cuts} cuts inside episodes"
    )
