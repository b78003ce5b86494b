"""Settings of every process.

The one rule: no other package reads the environment (but for fail points, which are for tests). A new setting is a
field of `SettingFields`; what it must not be combined with stands in `streams.settings.conflicts`.
"""

from streams.settings.addresses import host_of
from streams.settings.fields import PREFIX
from streams.settings.model import Settings, of_triggers
from streams.settings.redis_urls import redis_urls
from streams.settings.variables import complaints, unknown_variables

__all__ = ["PREFIX", "Settings", "complaints", "host_of", "of_triggers", "redis_urls", "unknown_variables"]
