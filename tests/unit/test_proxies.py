"""Which proxy an address is behind, as configurations and environments say it."""

import pytest

from fastgate.config.addresses import parse_base_url
from fastgate.config.proxies import environment_proxy, parse_proxy, proxy_of
from fastgate.config.scalars import Secret
from fastgate.config.upstreams import Provider

HERE = "http://proxy.test:3128"


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("http://proxy.test:3128", ("http", "proxy.test", 3128, "", "")),
        ("HTTP://Proxy.Test/", ("http", "proxy.test", 80, "", "")),
        ("https://me@[2001:db8::1]", ("https", "2001:db8::1", 443, "me", "")),
        ("http://me:a%40b%3A%2F%C3%BC@10.0.0.1:8080", ("http", "10.0.0.1", 8080, "me", "a@b:/\u00fc")),
    ],
)
def test_the_parts_of_a_proxy(text: str, parts: tuple[str, str, int, str, str]) -> None:
    assert tuple(parse_proxy(text)) == parts
    assert parts[4] == "" or parts[4] not in repr(parse_proxy(text)) + parse_proxy(text).url


@pytest.mark.parametrize(
    ("url", "environment", "proxy"),
    [
        ("https://api.test", {"HTTPS_PROXY": HERE}, HERE),
        ("https://api.test", {"https_proxy": HERE, "HTTPS_PROXY": "http://other"}, HERE),
        ("https://api.test", {"https_proxy": "", "HTTPS_PROXY": HERE}, HERE),
        ("https://api.test", {"HTTP_PROXY": HERE}, ""),
        ("http://api.test", {"HTTP_PROXY": HERE}, HERE),
        ("https://api.test", {"ALL_PROXY": HERE}, HERE),
        ("https://api.test", {"HTTPS_PROXY": "proxy.test:3128"}, HERE),
        ("https://api.test", {}, ""),
        ("http://127.0.0.1:9000", {"HTTP_PROXY": HERE}, ""),
        ("http://[::1]:9000", {"HTTP_PROXY": HERE}, ""),
        ("http://localhost:9000", {"ALL_PROXY": HERE}, ""),
        ("https://api.test", {"HTTPS_PROXY": HERE, "NO_PROXY": "*"}, ""),
        ("https://api.test", {"HTTPS_PROXY": HERE, "NO_PROXY": "other.test, API.test"}, ""),
        ("https://api.test", {"HTTPS_PROXY": HERE, "no_proxy": ".test"}, ""),
        ("https://api.test", {"HTTPS_PROXY": HERE, "no_proxy": "*.test"}, ""),
        ("https://api.test", {"HTTPS_PROXY": HERE, "no_proxy": "est,pi.test,,x"}, HERE),
        ("https://api.test", {"HTTPS_PROXY": HERE, "no_proxy": "api.test:443"}, ""),
        ("https://api.test", {"HTTPS_PROXY": HERE, "no_proxy": "api.test:8443"}, HERE),
        ("https://10.1.2.3", {"HTTPS_PROXY": HERE, "no_proxy": "10.0.0.0/8"}, ""),
        ("https://11.1.2.3", {"HTTPS_PROXY": HERE, "no_proxy": "10.0.0.0/8"}, HERE),
        ("https://[2001:db8::1]", {"HTTPS_PROXY": HERE, "no_proxy": "[2001:db8::1]"}, ""),
        ("https://[2001:db8::1]", {"HTTPS_PROXY": HERE, "no_proxy": "2001:db8::/32"}, ""),
        ("https://[2001:db9::1]", {"HTTPS_PROXY": HERE, "no_proxy": "2001:db8::/32"}, HERE),
    ],
)
def test_what_the_environment_says(url: str, environment: dict[str, str], proxy: str) -> None:
    assert environment_proxy(parse_base_url(url), environment) == proxy


def test_the_configuration_decides_before_the_environment() -> None:
    environment = {"HTTPS_PROXY": HERE}
    found = proxy_of(Provider(type="openai"), environment)
    assert found is not None
    assert found.url == HERE
    assert proxy_of(Provider(type="openai", proxy=Secret("")), environment) is None
    other = proxy_of(Provider(type="openai", proxy=Secret("http://other.test:1")), environment)
    assert other is not None
    assert other.url == "http://other.test:1"
