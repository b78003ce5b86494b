"""Passwords and certificates in settings and files.

The one rule: a secret of these tests stands in no output, however much is logged.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from pydantic import ValidationError

from streams.cli import main
from streams.kafka import admin
from streams.rights.process_rights import NEEDS
from streams.settings import Settings, complaints, credentials
from streams.state.redis import RedisStore
from streams.stop import Stop
from tests.support import commands
from tests.support.secure_servers import (
    KEY_PASSWORD,
    PASSWORD,
    USER,
    WRONG,
    Certificates,
    assert_reveals_no_secret,
    certificates,
)

__all__ = ["certificates"]  # the fixture


# --- settings ----------------------------------------------------------------------------------


SASL: Mapping[str, Any] = {"kafka_protocol": "SASL_SSL", "kafka_user": USER, "kafka_password": PASSWORD}


MISFITS: list[tuple[Mapping[str, Any], str]] = [
    ({"kafka_protocol": "SASL_SSL"}, "SEGMENTER_KAFKA_PROTOCOL: SASL needs SEGMENTER_KAFKA_USER"),
    ({**SASL, "kafka_password": ""}, "SEGMENTER_KAFKA_PROTOCOL: SASL needs SEGMENTER_KAFKA_USER"),
    ({**SASL, "kafka_protocol": "SSL"}, "SEGMENTER_KAFKA_PASSWORD: needs SEGMENTER_KAFKA_PROTOCOL SASL_SSL"),
    ({"kafka_ca_file": "ca.pem"}, "SEGMENTER_KAFKA_…_FILE: needs SEGMENTER_KAFKA_PROTOCOL SSL"),
    ({"redis_ca_file": "ca.pem"}, "SEGMENTER_REDIS_…_FILE: needs a rediss:// URL"),
    ({"kafka_protocol": "SSL", "kafka_key_file": "key.pem"}, "SEGMENTER_KAFKA_KEY_FILE: needs SEGMENTER_KAFKA_C"),
    ({"redis": "rediss://h:1", "redis_key_file": "key.pem"}, "SEGMENTER_REDIS_KEY_FILE: needs SEGMENTER_REDIS_C"),
    ({"redis": "redis://h:1,i:2"}, "SEGMENTER_REDIS: several hosts need SEGMENTER_REDIS_CLUSTER=true"),
    ({"redis": "redis://h:1/3", "redis_cluster": True}, "SEGMENTER_REDIS: a cluster is named by hosts"),
    ({"redis": "unix:///s", "redis_cluster": True}, "SEGMENTER_REDIS: a cluster is named by hosts"),
    ({"redis": f"redis://:{WRONG}@h:1/0", "redis_password": PASSWORD}, "SEGMENTER_REDIS_PASSWORD: the URL"),
    ({"redis": f"redis://:{PASSWORD}@h:1,i:2", "redis_cluster": True}, "SEGMENTER_REDIS: should be a URL such as"),
    ({"kafka_mechanism": "GSSAPI"}, "SEGMENTER_KAFKA_MECHANISM: Input should be 'PLAIN'"),
    ({"secrets_dir": "/not/there"}, "SEGMENTER_SECRETS_DIR: Path does not point to a directory"),
    ({"brokers": f"{USER}:{PASSWORD}@h:9092"}, "SEGMENTER_BROKERS: String should match pattern"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("given", "message"), MISFITS, ids=lambda case: "" if isinstance(case, str) else " ".join(case)
)
def test_settings_that_do_not_fit_together(
    given: Mapping[str, Any], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The exit code is 2 and one line names the setting; in silence a password or file would be unused."""
    for name, value in given.items():
        monkeypatch.setenv(f"SEGMENTER_{name.upper()}", str(value))
    assert main.run(["topics", "verify"]) == 2
    out, err = capsys.readouterr()
    commands.assert_one_line(err)
    assert message in err
    assert_reveals_no_secret(out, err)


@pytest.mark.parametrize("userinfo", [f":{PASSWORD}", f"{USER}:34/{PASSWORD}", f"{USER}:34?{PASSWORD}", ":p#x"])
def test_a_password_that_is_not_encoded_is_not_taken_for_an_address(userinfo: str) -> None:
    """A password with unencoded signs is refused: part of it would be logged as host, port or path."""
    with pytest.raises(ValidationError) as refused:
        Settings(redis=f"redis://{userinfo}@redis:6379/0")
    (complaint,) = complaints(refused.value)
    assert "in a password / ? # @ % are written %2F" in complaint
    assert_reveals_no_secret(complaint, str(refused.value))
    assert "34" not in complaint


def test_secrets_are_shown_by_nobody() -> None:
    """The settings and the options made of them show no secret in their representation."""
    url = f"rediss://{USER}:{quote(PASSWORD, safe='')}@h:1/0"
    settings = Settings(**SASL, redis=url, kafka_key_password=KEY_PASSWORD)
    assert_reveals_no_secret(repr(settings), str(settings), settings.model_dump_json())
    options = credentials.kafka(settings)
    assert_reveals_no_secret(repr(options))
    assert options["sasl_plain_password"] == PASSWORD


def test_secrets_from_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each secret has a file named like its variable; the line end is no part of it; a variable goes before it."""
    (tmp_path / "segmenter_kafka_password").write_text(PASSWORD + "\n")
    (tmp_path / "SEGMENTER_REDIS_PASSWORD").write_text(WRONG + "\n")
    (tmp_path / "segmenter_group").write_text("of-the-file")
    monkeypatch.setenv("SEGMENTER_SECRETS_DIR", str(tmp_path))
    monkeypatch.setenv("SEGMENTER_REDIS_PASSWORD", PASSWORD)
    settings = Settings(kafka_protocol="SASL_SSL", kafka_user=USER)
    assert settings.kafka_password is not None
    assert settings.kafka_password.get_secret_value() == PASSWORD
    assert settings.redis_password is not None
    assert settings.redis_password.get_secret_value() == PASSWORD
    assert settings.group == "of-the-file"


# --- files -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"kafka_ca_file": "nowhere.pem"}, "SEGMENTER_KAFKA_CA_FILE cannot be used: nowhere.pem"),
        ({"kafka_ca_file": __file__}, "SEGMENTER_KAFKA_CA_FILE cannot be used"),
        ({"kafka_key_password": WRONG}, "SEGMENTER_KAFKA_CERTIFICATE_FILE, its key or the key's password"),
        ({"kafka_key_password": None}, "SEGMENTER_KAFKA_CERTIFICATE_FILE, its key or the key's password"),
        ({"kafka_key_file": "nowhere.pem"}, "SEGMENTER_KAFKA_CERTIFICATE_FILE, its key or the key's password"),
        ({"redis_certificate_file": "nowhere.pem"}, "SEGMENTER_REDIS_CERTIFICATE_FILE"),
        ({"redis_key_file": "locked"}, "SEGMENTER_REDIS_CERTIFICATE_FILE"),
    ],
    ids=lambda case: "" if isinstance(case, str) else " ".join(case),
)
def test_files_that_cannot_be_used(certificates: Certificates, changed: Mapping[str, Any], message: str) -> None:
    """The setting is named before anything is connected; no key's password is asked for at a terminal."""
    given: dict[str, Any] = {
        "kafka_protocol": "SSL", "kafka_certificate_file": certificates.client,
        "kafka_key_file": certificates.locked_key, "kafka_key_password": KEY_PASSWORD,
        "redis": "rediss://h:1/0", "redis_certificate_file": certificates.client, "redis_key_file": certificates.key,
        **changed,
    }  # fmt: skip
    if changed.get("redis_key_file") == "locked":
        given["redis_key_file"] = certificates.locked_key
    use: Callable[[Settings], object] = (
        RedisStore.of
        if any(name.startswith("redis") for name in changed)
        else lambda settings: admin.find(settings, NEEDS["worker"].topics)
    )
    settings = Settings(**given)
    with pytest.raises(Stop, match=f"^{message}") as stopped:
        use(settings)
    assert_reveals_no_secret(str(stopped.value))
