"""The codec (serde) of customers: msgpack arrays, about 100 bytes for a customer of a few events.

The one rule: a stored customer is read only under the definitions that decided it last. Their number in the partition's
list is stored with it (`streams.state.definition_versions`).
"""

from __future__ import annotations

import msgspec

from rules.customer import Customer
from rules.profile.profile import Profile

# The first byte of a msgpack array of 12 fields: versions before `Customer.identified` stored so many.
_FORMER_FIELDS = 0x9C
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Customer)
_profiles = msgspec.msgpack.Decoder(Profile)


def encode(customer: Customer) -> bytes:
    """The stored form of a customer."""
    return _encoder.encode(customer)


def decode(stored: bytes) -> Customer:
    """A customer from its stored form; raises `msgspec.DecodeError`."""
    customer = _decoder.decode(stored)
    if customer.links and stored[0] == _FORMER_FIELDS:
        customer.identified = True  # in those versions only an id that was named as userId could have links
    return customer


def profile(encoded: bytes) -> Profile:
    """A profile which was encoded by itself, as identity messages carry it; raises `msgspec.DecodeError`."""
    return _profiles.decode(encoded)
