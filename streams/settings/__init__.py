"""Settings of every process.

Settings are read here alone; secrets of the triggers file, and fail points for tests, are the exception. A new setting
is a field of `SettingFields`; what it must not be combined with stands in `streams.settings.conflicts`.
"""

from streams.settings.addresses import host_of
from streams.settings.fields import PREFIX
from streams.settings.model import Settings, of_triggers
from streams.settings.redis_urls import redis_urls
from streams.settings.variables import complaints, unknown_variables

__all__ = ["PREFIX", "Settings", "complaints", "host_of", "of_triggers", "redis_urls", "unknown_variables"]
