"""The gateway file: each mistake is told with its path, and no secret is repeated."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rules.definitions.segments_file import DefinitionsError
from streams.gateway import config
from streams.gateway.write_keys import WriteKeys, of_basic
from streams.stop import Stop

BROWSER = {"kind": "browser", "key": "abcdef123456", "origins": ["https://shop.example"]}
SERVER = {"kind": "server", "key": {"env": "SHOP_KEY"}}


def loaded(folder: Path, **keys: Any) -> config.GatewayFile:
    path = folder / "gateway.yaml"
    path.write_text(json.dumps({"version": 1, "keys": keys}))
    return config.load(path)


@pytest.mark.parametrize(
    ("key", "complaint"),
    [
        ({**BROWSER, "key": "short"}, "keys.k.key: expected at least 12 letters and digits"),
        ({**BROWSER, "key": "secret-secret-"}, "keys.k.key: expected at least 12 letters and digits"),
        ({**BROWSER, "origins": []}, "keys.k: a browser key names origins"),
        ({**BROWSER, "origins": ["https://shop.example/"]}, "keys.k.origins.0: expected an origin such as"),
        ({**BROWSER, "origins": ["shop.example"]}, "keys.k.origins.0: expected an origin such as"),
        ({**BROWSER, "rate": 0}, "keys.k.rate: Input should be greater than 0"),
        ({**BROWSER, "colour": "red"}, "keys.k.colour: Extra inputs are not permitted"),
        ({**SERVER, "key": "secretsecret1"}, "keys.k: a server key is a secret: write {env: NAME} or {file: PATH}"),
        ({**SERVER, "origins": ["*"]}, "keys.k: origins and signed_ids are of browser keys"),
        ({"kind": "app"}, "keys.k.kind: Input should be 'browser' or 'server'"),
    ],
)
def test_each_mistake_is_told(key: dict[str, Any], complaint: str, tmp_path: Path) -> None:
    """With the path in the file, and what would be right."""
    with pytest.raises(DefinitionsError) as caught:
        loaded(tmp_path, k=key)
    assert any(line.startswith(complaint) for line in caught.value.lines), caught.value.lines
    assert "secretsecret1" not in str(caught.value)
    assert "secret-secret" not in str(caught.value)


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    """A missing file, and one that is no YAML."""
    path = tmp_path / "none.yaml"
    for text in (None, "a: [", "[]"):
        if text is not None:
            path.write_text(text)
        with pytest.raises(DefinitionsError):
            config.load(path)


def test_keys_are_found_by_their_text(tmp_path: Path) -> None:
    """A key of a file beside the gateway file is read, and no other text finds one."""
    (tmp_path / "shop.key").write_text("another-secret\n")
    file = loaded(tmp_path, web=BROWSER, shop=SERVER, other={**SERVER, "key": {"file": "shop.key"}})
    keys = WriteKeys.of(file, {"SHOP_KEY": "shop-secret-1"}, tmp_path)
    names = {text: key.name for text in ("abcdef123456", "shop-secret-1", "another-secret") if (key := keys.find(text))}
    assert names == {"abcdef123456": "web", "shop-secret-1": "shop", "another-secret": "other"}
    assert keys.find("") is None
    assert keys.find("\ud800") is None
    assert keys.admits("https://shop.example")
    assert not keys.admits("https://evil.example")


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({}, "keys.shop.key of the gateway file: the variable SHOP_KEY is not set"),
        ({"SHOP_KEY": "short"}, "keys.shop.key of the gateway file has 5 characters; write at least 12"),
        ({"SHOP_KEY": "abcdef123456"}, "two keys of the gateway file are the same text; give each its own"),
    ],
)
def test_a_wrong_secret_stops_the_start(environment: dict[str, str], sentence: str, tmp_path: Path) -> None:
    """The sentence names the place, not the secret."""
    file = loaded(tmp_path, web=BROWSER, shop=SERVER)
    with pytest.raises(Stop, match=sentence):
        WriteKeys.of(file, environment, tmp_path)


def test_signing_needs_a_long_secret(tmp_path: Path) -> None:
    """A short secret of tokens can be found by trying."""
    file = loaded(tmp_path, web={**BROWSER, "signed_ids": {"env": "IDS"}})
    with pytest.raises(Stop, match="has 20 characters; write at least 32"):
        WriteKeys.of(file, {"IDS": "x" * 20}, tmp_path)


def test_the_rate_of_a_key_bounds_events(tmp_path: Path) -> None:
    """A batch may exceed what is left, and is paid for by those after it; one address does not use up a key."""
    file = loaded(tmp_path, web={**BROWSER, "rate": 100, "address_rate": 10})
    key = WriteKeys.of(file, {}, tmp_path).find("abcdef123456")
    assert key is not None
    assert key.take("a", 100)
    assert not key.take("a", 1)
    assert key.take("b", 100)
    # Of "c" nothing is taken, so nothing counts: it is not in debt once the key has room again.
    assert not key.take("c", 100)
    assert key._of_address is not None
    assert key._of_address.has_left("c")
    slow = WriteKeys.of(loaded(tmp_path, web={**BROWSER, "rate": 0.1}), {}, tmp_path).find("abcdef123456")
    assert slow is not None
    assert slow.take("a", 1)


def test_the_key_of_a_header(tmp_path: Path) -> None:
    """Basic authentication, as SDKs send it."""
    assert of_basic("Basic YWJjOg==") == "abc"
    assert of_basic("basic YWJj") == "abc"
    for header in ("", "Bearer YWJjOg==", "Basic", "Basic ?", "Basic /w=="):
        assert of_basic(header) in (None, "")
