"""Guards of the gateway, which strangers may call; see `quality.mutants`."""

from __future__ import annotations

from quality.mutant import Mutant

_MESSAGES = "tests/unit/gateway/test_messages.py"
_LINKS = "tests/unit/triggers/test_links.py"

MUTANTS = (
    Mutant(
        "what a browser says of ids is vouched for by nothing",
        "streams/gateway/messages.py",
        "if sender.key.is_browser and event.name in _BY_TRUST else",
        "if not sender.key.is_browser and event.name in _BY_TRUST else",
        _MESSAGES,
    ),
    Mutant(
        "a browser erases no customer",
        "streams/gateway/messages.py",
        "if event.name in (ERASE, UNNAMED) and sender.key.is_browser:",
        "if event.name == ERASE and not sender.key:",
        _MESSAGES,
    ),
    Mutant(
        "a token is one of the very user",
        "streams/gateway/messages.py",
        'subject_of(_text(token) or "", key.id_secret) != user',
        'subject_of(_text(token) or "", key.id_secret) is None',
        _MESSAGES,
    ),
    Mutant(
        "another id does not stand for the signed one",
        "streams/gateway/messages.py",
        'for name in ("anonymousId", "previousId"):',
        'for name in ("previousId",):',
        _MESSAGES,
    ),
    Mutant(
        "a stated address is not believed",
        "streams/gateway/messages.py",
        'context.pop("ip", None)',
        'context.get("ip", None)',
        _MESSAGES,
    ),
    Mutant(
        "a context that becomes empty is written",
        "streams/gateway/messages.py",
        'if context or "context" in fields:',
        "if context:",
        _MESSAGES,
    ),
    Mutant(
        "the sender's clock says nothing of a time that is the gateway's",
        "streams/gateway/messages.py",
        'fields.pop("sentAt", None)',
        'fields.get("sentAt", None)',
        _MESSAGES,
    ),
    Mutant(
        "a token of a page expires",
        "streams/http/signed_tokens.py",
        '(must_expire and "exp" not in claims)',
        '(must_expire and "sub" not in claims)',
        _MESSAGES,
    ),
    Mutant(
        "a token of a link proves nothing",
        "streams/http/signed_tokens.py",
        "PURPOSE in claims or",
        "",
        _LINKS,
    ),
    Mutant(
        "a link is of one purpose",
        "streams/http/message_links.py",
        "if claims is None or claims.get(PURPOSE) != purpose:",
        "if claims is None:",
        _LINKS,
    ),
    Mutant(
        "a click leads to the web alone",
        "streams/http/message_links.py",
        'parts.scheme in ("http", "https") and bool(parts.hostname)',
        "bool(parts.scheme)",
        _LINKS,
    ),
    Mutant(
        "one address does not use up a key",
        "streams/gateway/write_keys.py",
        "return self._of_address is None or self._of_address.take(address, events)",
        "return self._of_address is None or self._of_address.take(address, 0)",
        "tests/unit/gateway/test_config.py",
    ),
)
