"""What the SDKs of browsers load before they send: their settings, with the gateway as the place to send to.

    analytics.js   GET /v1/projects/KEY/settings
    RudderStack    GET /sourceConfig/?writeKey=KEY

See also: `streams.gateway.ingest`, which takes what they send.
"""

from __future__ import annotations

from typing import Any


def of_segment(key: str, host: str, scheme: str) -> dict[str, Any]:
    """The settings of a project, for analytics.js; ``host``: that of the request, with its port."""
    return {
        "integrations": {
            "Segment.io": {
                "apiKey": key,
                "apiHost": f"{host}/v1",
                "protocol": scheme,
                "unbundledIntegrations": [],
                "addBundledMetadata": False,
                "maybeBundledConfigIds": {},
                "versionSettings": {"version": "4.4.7", "componentTypes": ["browser"]},
            }
        },
        "plan": {"track": {"__default": {"enabled": True, "integrations": {}}}},
        "edgeFunction": {},
        "analyticsNextEnabled": True,
        "middlewareSettings": {},
        "enabledMiddleware": {},
        "metrics": {"sampleRate": 0},
        "legacyVideoPluginsEnabled": False,
        "remotePlugins": [],
    }


def of_rudderstack(key: str, base: str) -> dict[str, Any]:
    """The configuration of a source, for RudderStack's SDK; ``base``: the address of the gateway."""
    return {
        "source": {
            "id": key,
            "name": "segmenter",
            "writeKey": key,
            "enabled": True,
            "config": {"statsCollection": {"errors": {"enabled": False}, "metrics": {"enabled": False}}},
            "connections": [],
            "destinations": [],
            "workspaceId": "segmenter",
            "dataplanes": {"US": [{"url": base, "default": True}]},
        },
        "updatedAt": "2026-01-01T00:00:00.000Z",
        "isHosted": False,
    }
