"""The cache's file follows the configuration while requests are served: made, of another size, made anew, gone."""

from pathlib import Path
from typing import Any

from tests.integration.test_cache import body_of, did, post
from tests.support.house import House, key, wait_for

SETTINGS: dict[str, Any] = {"keys": [key("one")]}


def sized(megabytes: int) -> dict[str, Any]:
    return {**SETTINGS, "cache": {"exact": {"enabled": True, "max_mb": megabytes}}}


def files(house: House) -> list[str]:
    return sorted(path.name for path in house.arena_dir.glob("cache-*"))


def reload(house: House, settings: dict[str, Any], did_before: str, text: str) -> None:
    """Returns when the worker goes by it: what it says of a question is no longer that."""
    house.write_config(settings)
    house.admin("config/reload", "POST")
    wait_for(lambda: did(post(house, "one", body_of(text))) != did_before, 30, "the new size is in force")


def test_it_follows_its_size(tmp_path: Path) -> None:
    with House(tmp_path, SETTINGS, workers=1) as house:
        assert (did(post(house, "one", body_of("a"))), files(house)) == ("bypass", [])
        reload(house, sized(8), "bypass", "a")
        assert files(house) == ["cache-8.bin"]
        assert did(post(house, "one", body_of("a"))) == "exact"
        reload(house, sized(9), "exact", "a")
        assert files(house) == ["cache-9.bin"]
        assert did(post(house, "one", body_of("a"))) == "exact"
        reload(house, SETTINGS, "exact", "a")
        assert files(house) == []


def test_what_was_kept_outlives_all_processes_and_what_is_damaged_is_made_anew(tmp_path: Path) -> None:
    with House(tmp_path, sized(8), workers=1) as house:
        assert did(post(house, "one", body_of("kept"))) == "miss"
        house.kill_everything()
        house.start()
        assert did(post(house, "one", body_of("kept"))) == "exact"
        house.stop()
        (house.arena_dir / "cache-8.bin").write_bytes(b"no cache")
        house.start()
        assert did(post(house, "one", body_of("kept"))) == "miss"
        assert did(post(house, "one", body_of("kept"))) == "exact"
