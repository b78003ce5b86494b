"""Kafka and Redis that accept only clients with a certificate or a password, and these files and passwords.

All certificates and passwords are made here, for this run, and are worth nothing elsewhere.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import redis
import trustme
from cryptography.hazmat.primitives import serialization
from kafka import KafkaAdminClient
from kafka.admin import (
    ACL,
    ACLFilter,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    ResourcePattern,
    ResourcePatternFilter,
    ResourceType,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from local.server_process import HOST, StartError, free_port
from local.servers import Kafka, Redis
from streams.rights.process_rights import NEEDS
from streams.wire.topics import OUTPUTS

USER = "segmenter-app"
PASSWORD = "correct horse/#?@%battery"  # of such characters that a URL cannot hold them as they are
KEY_PASSWORD = "opens the key"
WRONG = "not the password"
SECRETS = (PASSWORD, KEY_PASSWORD, WRONG, quote(PASSWORD, safe=""))
# What the one user of these tests may do to Redis: what a worker and a reader may.
COMMANDS = sorted(NEEDS["worker"].commands | NEEDS["verify"].commands)
# Kafka's listeners by their names, and the protocol of each.
LISTENERS = {"SASL_SSL": "SASL_SSL", "SASL_PLAINTEXT": "SASL_PLAINTEXT", "SSL": "SSL", "ELSEWHERE": "SSL"}


def assert_reveals_no_secret(*texts: str) -> None:
    """No secret, whole or encoded, stands in the text."""
    for text in texts:
        assert not [secret for secret in SECRETS if secret in text]


class Certificates:
    """A certificate authority, its servers' and its client's certificates, as PEM files; and one of a stranger."""

    def __init__(self, folder: Path) -> None:
        authority = trustme.CA(key_type=trustme.KeyType.RSA)
        server, client = authority.issue_cert(HOST, "localhost"), authority.issue_cert(USER, common_name=USER)
        elsewhere = authority.issue_cert("kafka.example")
        self.ca, self.stranger = folder / "ca.pem", folder / "stranger.pem"
        authority.cert_pem.write_to_path(self.ca)
        trustme.CA().cert_pem.write_to_path(self.stranger)
        self.server = _written(folder / "server.pem", server)
        self.elsewhere = _written(folder / "elsewhere.pem", elsewhere)
        self.client = folder / "client.pem"
        client.cert_chain_pems[0].write_to_path(self.client)
        self.key = folder / "client-key.pem"
        self.key.write_bytes(_key(client))
        self.locked_key = folder / "client-key-locked.pem"
        self.locked_key.write_bytes(_key(client, KEY_PASSWORD))


def _written(path: Path, leaf: trustme.LeafCert) -> Path:
    """Key and certificate in one file, as Kafka wants a key store in PEM."""
    path.write_bytes(_key(leaf) + b"".join(pem.bytes() for pem in leaf.cert_chain_pems))
    return path


def _key(leaf: trustme.LeafCert, password: str | None = None) -> bytes:
    key = serialization.load_pem_private_key(leaf.private_key_pem.bytes(), None)
    locked: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if password is not None:
        locked = serialization.BestAvailableEncryption(password.encode())
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, locked)


class SecureKafka(Kafka):
    """A Kafka with listeners for passwords with and without TLS, certificates, a wrong host name, and the tests' own.

    A client of the tests' own listener may do everything, all others what they are allowed.
    """

    def __init__(self, certificates: Certificates, passwords: Mapping[str, str] | None = None) -> None:
        """``passwords``: those of PLAIN, by user; none: of the one user of these tests."""
        super().__init__()
        logins = "".join(f' user_{name}="{word}"' for name, word in (passwords or {USER: PASSWORD}).items())
        ports = {name: free_port() for name in LISTENERS}
        self.addresses = {name: f"{HOST}:{port}" for name, port in ports.items()}
        public = f"PLAINTEXT://{self.address}," + ",".join(f"{name}://{at}" for name, at in self.addresses.items())
        module = "org.apache.kafka.common.security"
        self._properties = {
            "listeners": f"{public},CONTROLLER://{HOST}:{self._controller_port}",
            "advertised.listeners": public,
            "listener.security.protocol.map": (
                "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT," + ",".join(f"{at}:{kind}" for at, kind in LISTENERS.items())
            ),
            "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
            **{
                f"listener.name.{name}.{mechanism}.sasl.jaas.config": f"{module}.{login} required{user};"
                for name in ("sasl_ssl", "sasl_plaintext")
                for mechanism, login, user in (
                    ("plain", "plain.PlainLoginModule", logins),
                    ("scram-sha-256", "scram.ScramLoginModule", ""),
                    ("scram-sha-512", "scram.ScramLoginModule", ""),
                )
            },
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(certificates.server),
            "listener.name.elsewhere.ssl.keystore.location": str(certificates.elsewhere),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(certificates.ca),
            "listener.name.ssl.ssl.client.auth": "required",
            "ssl.principal.mapping.rules": "RULE:.*CN=([^,]+).*/$1/,DEFAULT",
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS",
        }

    def let_in(self) -> None:
        """The user's SCRAM passwords, and what a worker and its commands need to be allowed, and no more."""
        admin: Any = KafkaAdminClient(bootstrap_servers=self.address)
        try:
            kinds = (ScramMechanism.SCRAM_SHA_256, ScramMechanism.SCRAM_SHA_512)
            for kind in kinds:
                admin.alter_user_scram_credentials([UserScramCredentialUpsertion(USER, kind, PASSWORD)])
        finally:
            admin.close()

    def allow(self, prefix: str, group: str, operations: Sequence[str]) -> None:
        """Operations on topics of a prefix, to read its outputs, and a group with its transactions."""
        admin: Any = KafkaAdminClient(bootstrap_servers=self.address)
        try:
            topics = ResourcePattern(ResourceType.TOPIC, prefix, ACLResourcePatternType.PREFIXED)
            acls = [_acl(topics, operation) for operation in operations]
            acls += [_acl(ResourcePattern(ResourceType.TOPIC, prefix + name), "READ") for name in OUTPUTS]
            if group:
                acls.append(_acl(ResourcePattern(ResourceType.GROUP, group), "READ"))
                transactions = f"{group}-", ACLResourcePatternType.PREFIXED
                acls.append(_acl(ResourcePattern(ResourceType.TRANSACTIONAL_ID, *transactions), "WRITE"))
            admin.create_acls(acls)
            mine = ACLFilter(f"User:{USER}", "*", ACLOperation.ANY, ACLPermissionType.ANY, _pattern_of(prefix))
            until = time.monotonic() + 60
            while len(admin.describe_acls(mine)[0]) < len(operations):  # they come by way of the metadata log
                assert time.monotonic() < until
                time.sleep(0.02)
        finally:
            admin.close()


def _pattern_of(prefix: str) -> Any:
    return ResourcePatternFilter(ResourceType.TOPIC, prefix, ACLResourcePatternType.PREFIXED)


def _acl(resource: Any, operation: str) -> Any:
    return ACL(f"User:{USER}", "*", ACLOperation[operation], ACLPermissionType.ALLOW, resource)


# --- Redis -------------------------------------------------------------------------------------


class SecureRedis:
    """A Redis behind TLS that knows a user with a password; what it does not know it does not let in.

    The server itself speaks TLS where it can; where it was built without, it stands behind a proxy that does.
    """

    def __init__(self, certificates: Certificates, *, client_certificates: bool = False) -> None:
        self.port = free_port()
        self._certificates = certificates
        self._asks = client_certificates

    @property
    def address(self) -> str:
        return f"{HOST}:{self.port}"

    @contextlib.contextmanager
    def running(self) -> Iterator[Redis]:
        """The server, by its port without TLS."""
        with contextlib.ExitStack() as open_ones:
            try:
                server = open_ones.enter_context(Redis(options=self._options()))
            except StartError:
                server = open_ones.enter_context(Redis())
                open_ones.enter_context(_proxied(self.port, server.port, self._context()))
            client: Any = redis.Redis.from_url(server.url)
            rights = ["on", f">{PASSWORD}", "~segmenter:*", "-@all", *(f"+{command}" for command in COMMANDS)]
            client.execute_command("ACL", "SETUSER", USER, *rights)
            client.execute_command("ACL", "SETUSER", "default", "resetpass", ">only for the tests themselves")
            yield server

    def _options(self) -> dict[str, str]:
        return {
            "tls-port": str(self.port),
            "tls-cert-file": str(self._certificates.server),
            "tls-key-file": str(self._certificates.server),
            "tls-ca-cert-file": str(self._certificates.ca),
            "tls-auth-clients": "yes" if self._asks else "no",
        }

    def _context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=self._certificates.ca)
        context.load_cert_chain(self._certificates.server)
        context.verify_mode = ssl.CERT_REQUIRED if self._asks else ssl.CERT_NONE
        return context


@contextlib.contextmanager
def _proxied(port: int, behind: int, context: ssl.SSLContext) -> Iterator[None]:
    """TLS on one port, passed on without it to another, by a thread."""
    loop = asyncio.new_event_loop()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_connection(HOST, behind)
        await asyncio.gather(_copy(reader, there_writer), _copy(there_reader, writer))

    async def start() -> asyncio.Server:
        return await asyncio.start_server(serve, HOST, port, ssl=context)

    server = loop.run_until_complete(start())
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield
    finally:
        loop.call_soon_threadsafe(server.close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        while chunk := await reader.read(65_536):
            writer.write(chunk)
            await writer.drain()
    writer.close()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))
