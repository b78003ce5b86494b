"""The settings of a process, read once from the environment (``SEGMENTER_…``) or from files of secrets."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Self

from pydantic import model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SecretsSettingsSource

from streams.settings.conflicts import conflict
from streams.settings.fields import PREFIX, SECRETS_DIR, SettingFields


class Settings(SettingFields):
    """All settings; see each line of `SettingFields`. Environment: the name in capitals after ``SEGMENTER_``.

    A file in the secrets folder gives the setting with the file's name (``segmenter_kafka_password``);
    the environment takes precedence over it.
    """

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003  # pydantic passes it
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003  # one of our own, as its folder is a setting
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        folder = Path(os.environ.get(f"{PREFIX}SECRETS_DIR") or SECRETS_DIR)
        # A folder that was named and does not exist is reported by the check of its own field.
        secrets = (SecretsSettingsSource(settings_cls, folder),) if folder.is_dir() else ()
        return (init_settings, env_settings, *secrets)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        sentence = conflict(self)
        if sentence is not None:
            raise ValueError(sentence)
        return self


def of_triggers(settings: Settings) -> Settings:
    """The settings of the triggers process, which has a group and Redis keys of its own."""
    return settings.model_copy(
        update={"group": f"{settings.group}-triggers", "redis_prefix": f"{settings.redis_prefix}triggers:"}
    )
