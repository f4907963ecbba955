"""Exchange: what goes out comes back, or is read by others as it was meant."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from typer.testing import CliRunner

from genie.cli.app import app
from genie.data.card import read_card
from genie.data.check import make_card, write_card
from genie.data.exchange.lerobot import CAMERA, export_lerobot
from genie.data.exchange.minari import export_minari, import_minari
from genie.data.exchange.mp4 import export_mp4
from genie.data.importing import ImportPlan, import_videos
from genie.data.store import SPLITS, UNKNOWN_ACTION, Dataset, DatasetInfo, DatasetWriter
from genie.data.video import Shaping
from genie.errors import DatasetError, GenieError

ARRAYS = ("frames", "actions", "rewards", "episode_starts", "level_seeds")


@pytest.fixture(scope="module")
def small(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Three episodes of the recording for training, two held out, and an action that nobody knows."""
    info = dataset.info
    taken = {
        split: list(zip(*[getattr(dataset.split(split), key) for key in ("episode_starts", "episode_ends")], strict=True))
        for split in SPLITS
    }
    chosen = {
        "train": [e for e in taken["train"] if e[1] - e[0] > 40][:3],
        "held_out": [e for e in taken["held_out"] if e[1] - e[0] > 40][:2],
    }
    frames = {split: int(sum(end - start for start, end in episodes)) for split, episodes in chosen.items()}
    path = tmp_path_factory.mktemp("small") / "d"
    writer = DatasetWriter(path, info.model_copy(update={"frames": frames}))
    for split, episodes in chosen.items():
        data = dataset.split(split)  # type: ignore[arg-type]
        for number, (start, end) in enumerate(episodes):
            actions = data.actions[start:end].copy()
            actions[5] = UNKNOWN_ACTION
            writer.add(split, np.asarray(data.frames[start:end]), actions, data.rewards[start:end], number + 7 * (split == "train"))
    writer.close()
    write_card(Dataset(path))
    return Dataset(path)


def same(a: Dataset, b: Dataset) -> bool:
    pairs = [(np.asarray(getattr(a.split(s), key)[:]), np.asarray(getattr(b.split(s), key)[:])) for s in SPLITS for key in ARRAYS]
    return all(np.array_equal(x, y) for x, y in pairs)


def test_minari_there_and_back_changes_nothing(small: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    minari = pytest.importorskip("minari", reason="pip install 'genie-worlds[exchange]'")
    export_minari(small, tmp_path / "genie" / "coinrun-v0")
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    theirs = minari.load_dataset("genie/coinrun-v0")  # as a user of Minari reads it
    assert theirs.total_episodes == 5
    start, end = small.split("train").episode_starts[0], small.split("train").episode_ends[0]
    assert np.array_equal(theirs[0].observations, small.split("train").frames[start:end])
    assert len(theirs[0].actions) == end - start - 1
    info = import_minari(
        tmp_path / "genie" / "coinrun-v0", tmp_path / "back", ImportPlan("ignored", Shaping((64, 96), 7.0), "its own is kept")
    )
    assert info == small.info
    assert small.split("held_out").level_seeds.tolist() == [0, 1]  # a level 0 stays one
    assert same(Dataset(tmp_path / "back"), small)
    refused = CliRunner().invoke(app, ["import", str(tmp_path / "genie" / "coinrun-v0"), "--out", str(tmp_path / "e"), "--licence", "MIT"])
    assert isinstance(refused.exception, GenieError) and "comes back as it was; leave out --licence" in str(refused.exception)


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    """Two short episodes of noise, as genie exports them."""
    pytest.importorskip("minari", reason="pip install 'genie-worlds[exchange]'")
    rng = np.random.default_rng(0)
    info = DatasetInfo(
        name="noise",
        resolution=(16, 16),
        game_rate=30.0,
        action_names=("a", "b"),
        frames=dict.fromkeys(SPLITS, 8),
        recipe={},
        licence="MIT",
    )
    writer = DatasetWriter(tmp_path / "noise", info)
    for split in SPLITS:
        writer.add(split, rng.integers(0, 256, (8, 16, 16, 3), dtype=np.uint8), np.ones(8, np.uint8), np.zeros(8, np.float32), 3)
    writer.close()
    export_minari(Dataset(tmp_path / "noise"), tmp_path / "genie" / "noise-v0")
    return tmp_path / "genie" / "noise-v0"


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("resolution", [100_000, 100_000], "100000×100000 does not fit"),
        ("resolution", [15, 16], "does not fit"),
        ("frames", {"train": 8}, "other splits"),
        ("action_names", ["a"] * 300, "too many actions"),
    ],
)
def test_a_minari_data_set_with_a_crafted_note_of_genie_is_refused(
    exported: Path, tmp_path: Path, field: str, value: Any, says: str
) -> None:
    path = exported / "data" / "metadata.json"
    metadata = json.loads(path.read_text())
    metadata["genie_info"] = json.dumps({**json.loads(metadata["genie_info"]), field: value})
    path.write_text(json.dumps(metadata))
    with pytest.raises(DatasetError, match=says):
        import_minari(exported, tmp_path / "back", ImportPlan("ignored", Shaping((16, 16), 30.0), "its own"))


@pytest.mark.parametrize(("field", "value"), [("total_steps", None), ("last_action", 300), ("last_action", "x"), ("seed", 2**63)])
def test_a_minari_episode_with_damaged_metadata_is_refused(exported: Path, tmp_path: Path, field: str, value: Any) -> None:
    h5py = pytest.importorskip("h5py")
    with h5py.File(exported / "data" / "main_data.hdf5", "r+") as file:
        if value is None:
            del file["episode_1"].attrs[field]
        else:
            file["episode_1"].attrs[field] = np.uint64(value) if field == "seed" else value
    with pytest.raises(DatasetError, match=f"metadata of episode 1 are damaged .{field}"):
        import_minari(exported, tmp_path / "back", ImportPlan("ignored", Shaping((16, 16), 30.0), "its own"))


def test_a_foreign_minari_data_set_is_resized_and_split(tmp_path: Path) -> None:
    pytest.importorskip("minari", reason="pip install 'genie-worlds[exchange]'")
    from gymnasium import spaces
    from minari.data_collector.episode_buffer import EpisodeBuffer
    from minari.dataset.minari_storage import MinariStorage

    rng = np.random.default_rng(0)
    episodes = [rng.integers(0, 256, (30, 100, 120, 3), dtype=np.uint8) for _ in range(4)]
    pictures = spaces.Dict({"image": spaces.Box(0, 255, (100, 120, 3), np.uint8), "place": spaces.Box(0, 1, (2,))})
    source = tmp_path / "theirs"
    source.mkdir()
    storage = MinariStorage.new(source / "data", pictures, spaces.Discrete(3), jpeg_encoding=False)
    storage.update_episodes(
        EpisodeBuffer(
            id=n, observations={"image": frames, "place": np.zeros((30, 2), np.float32)}, actions=np.arange(29) % 3, rewards=np.ones(29),
            terminations=np.zeros(29, bool), truncations=np.zeros(29, bool),
        )
        for n, frames in enumerate(episodes)
    )  # fmt: skip
    options = ("--size", "96x64", "--fps", "30", "--licence", "CC-BY", "--consent", "signed", "--source", "a lab", "--fit", "letterbox")
    genie_import = ["import", str(source), "--out", str(tmp_path / "d"), *options, "--seed", "3"]
    refused = CliRunner().invoke(app, [*genie_import, "--still", "3"])
    assert isinstance(refused.exception, GenieError) and "leave out --still" in str(refused.exception)
    assert CliRunner().invoke(app, genie_import).exit_code == 0
    dataset = Dataset(tmp_path / "d")
    assert dataset.info.frames == {"train": 90, "held_out": 30}
    assert dataset.info.action_names == ("move 0", "move 1", "move 2")
    assert dataset.split("train").frames.shape == (90, 64, 96, 3)
    assert dataset.split("train").actions[:30].tolist() == [*(np.arange(29) % 3), UNKNOWN_ACTION]
    card = read_card(tmp_path / "d")
    assert card is not None and (card.licence, card.consent, card.source, card.recipe["seed"]) == ("CC-BY", "signed", "a lab", 3)
    assert (np.asarray(dataset.split("train").frames[0])[:, :9] == 0).all()  # letterboxed
    plan = ImportPlan("e", Shaping((64, 64), 15.0), "CC-BY", source="")
    import_minari(source, tmp_path / "e", plan)
    card = make_card(Dataset(tmp_path / "e"))
    assert card.source.startswith("Minari data set") and card.consent == "unknown"  # people may have played
    metadata = json.loads((source / "data" / "metadata.json").read_text())
    del metadata["observation_space"]
    (source / "data" / "metadata.json").write_text(json.dumps(metadata))
    with pytest.raises(DatasetError, match="running its environment"):
        import_minari(source, tmp_path / "f", plan)


def test_lossless_video_comes_back_pixel_for_pixel(small: Dataset, tmp_path: Path) -> None:
    export_mp4(small, tmp_path / "out", lossless=True)
    files = sorted((tmp_path / "out").glob("*/*.mp4"))
    shaping = Shaping((64, 64), small.info.game_rate, borders="keep")
    import_videos(files, tmp_path / "d", ImportPlan("back", shaping, "MIT", longest_still=60.0, shortest=0.5))
    truth = [np.asarray(small.split(split).frames[:]).tobytes() for split in SPLITS]
    back = Dataset(tmp_path / "d")
    for split in SPLITS:
        data = back.split(split)
        for start, end in zip(data.episode_starts, data.episode_ends, strict=True):
            assert any(np.asarray(data.frames[start:end]).tobytes() in whole for whole in truth)
    assert sum(back.info.frames.values()) > 0.9 * sum(small.info.frames.values())
    files = sorted((tmp_path / "out" / "train").glob("*.mp4"))
    lines = [json.loads(line) for line in files[0].with_suffix(".ndjson").read_text().splitlines()]
    names = small.info.action_names
    told = [names[a] if a != UNKNOWN_ACTION else None for a in small.split("train").actions[: len(lines)].tolist()]
    assert [line["action"] for line in lines] == told
    assert told[5] is None
    assert json.loads((tmp_path / "out" / "dataset.json").read_text())["name"] == "coinrun"
    assert (tmp_path / "out" / "CARD.md").exists()


def test_lerobot_tables_lead_to_the_frames_of_each_episode(small: Dataset, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="pip install 'genie-worlds[lerobot]'")
    export_lerobot(small, tmp_path / "out")
    info = json.loads((tmp_path / "out" / "meta" / "info.json").read_text())
    assert info["codebase_version"] == "v3.0"
    assert info["splits"] == {"train": "0:3", "test": "3:5"}
    rows = parquet.read_table(tmp_path / "out" / "meta" / "episodes" / "chunk-000" / "file-000.parquet").to_pylist()
    place = {"chunk_index": rows[1]["data/chunk_index"], "file_index": rows[1]["data/file_index"]}
    steps = parquet.read_table(tmp_path / "out" / info["data_path"].format(**place)).to_pylist()
    mine = [step for step in steps if step["episode_index"] == 1]
    assert [step["index"] for step in mine] == list(range(rows[1]["dataset_from_index"], rows[1]["dataset_to_index"]))
    start, end = int(small.split("train").episode_starts[1]), int(small.split("train").episode_ends[1])
    told = small.split("train").actions[start:end].astype(int)
    assert [step["action"] for step in mine] == np.where(told == UNKNOWN_ACTION, -1, told).tolist()
    with av.open(str(tmp_path / "out" / info["video_path"].format(video_key=CAMERA, **place))) as video:
        shown = [frame.to_ndarray(format="rgb24")[::2, ::2] for frame in video.decode(video=0)]
    first = round(rows[1][f"videos/{CAMERA}/from_timestamp"] * info["fps"])
    error = np.square(np.stack(shown[first : first + end - start]).astype(float) - small.split("train").frames[start:end]).mean()
    assert 10 * np.log10(255**2 / error) > 30
    stats = json.loads((tmp_path / "out" / "meta" / "stats.json").read_text())
    looked_at = [
        np.asarray(small.split(s).frames[a:b:16])
        for s in SPLITS
        for a, b in zip(small.split(s).episode_starts, small.split(s).episode_ends, strict=True)
    ]
    assert np.allclose(np.ravel(stats[CAMERA]["mean"]), np.concatenate(looked_at).mean((0, 1, 2)) / 255)
