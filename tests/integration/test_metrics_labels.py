"""What clients make up must not become labels of metrics."""

from pathlib import Path

import httpx

from tests.support.house import House, key, secret, wait_for

SETTINGS = {"teams": [{"id": "t"}], "keys": [key("a", team="t", models=["sim/sim-small"])]}


def test_models_that_nobody_serves_are_not_labels(tmp_path: Path) -> None:
    with House(tmp_path, SETTINGS, workers=1) as house:
        headers = {"authorization": f"Bearer {secret('a')}"}
        for model in ("invented-1", "invented-2", "sim/sim-large", "sim/sim-small"):
            body = {"model": model, "messages": [{"role": "user", "content": "hi"}]}
            httpx.post(f"{house.openai_url}/chat/completions", headers=headers, json=body)
        house.drained(4)
        page = f"http://127.0.0.1:{house.admin_port}/metrics"
        text = wait_for(lambda: (t := httpx.get(page).text).count("fastgate_requests_total{") == 3 and t, 10, "metrics")
        assert "invented" not in text
        assert "sim-large" not in text
        assert 'model="sim/sim-small"' in text
        assert 'fastgate_rejections_total{level="",reason="model_not_found"} 2.0' in text
