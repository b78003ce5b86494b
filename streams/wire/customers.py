"""Customers as stored bytes: msgpack arrays, about 100 bytes for a customer of a few events.

The one rule: a stored customer is read only under the definitions that wrote it; their
fingerprint is kept beside it, and another one stops the worker.
"""

from __future__ import annotations

import msgspec

from rules.profile.profile import Profile
from rules.standing import Customer

# How an array of 12 fields begins: versions before the mark of identified ids stored so many.
_FORMER_FIELDS = 0x9C
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Customer)
_profiles = msgspec.msgpack.Decoder(Profile)


def encode(customer: Customer) -> bytes:
    """The stored form."""
    return _encoder.encode(customer)


def decode(stored: bytes) -> Customer:
    """A customer from its stored form; raises `msgspec.DecodeError`."""
    customer = _decoder.decode(stored)
    if customer.links and stored[0] == _FORMER_FIELDS:
        customer.identified = True  # whoever held links was named as userId
    return customer


def profile(stored: bytes) -> Profile:
    """The profile of a customer by itself; raises `msgspec.DecodeError`."""
    return _profiles.decode(stored)
