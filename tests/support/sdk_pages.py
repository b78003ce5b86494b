"""Pages of a shop that load an SDK as published, served on an origin of their own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aiohttp import web

from local.web_thread import WebThread

SEGMENT = """<!doctype html><title>Shop</title>
<script>window.analytics = {{_cdn: "{gateway}"}}</script>
<script src="/sdks/@segment/analytics-next/dist/umd/index.js"></script>
<script>
window.analytics = AnalyticsNext.AnalyticsBrowser.load({{writeKey: "{key}", cdnURL: "{gateway}"}}, {options});
analytics.ready(() => {{ window.booted = true; }});
</script>"""
RUDDERSTACK = """<!doctype html><title>Shop</title>
<script src="/sdks/@rudderstack/analytics-js/dist/npm/modern/bundled/umd/index.js"></script>
<script>
window.analytics = new rudderanalytics.RudderAnalytics();
analytics.load("{key}", "{gateway}", Object.assign({{
  configUrl: "{gateway}", onLoaded: () => {{ window.booted = true; }},
}}, {options}));
</script>"""


@contextmanager
def served(folder: Path, sdks: Path) -> Iterator[str]:
    """Serve a folder, with the SDKs below ``/sdks``; the origin."""
    (folder / "sdks").symlink_to(sdks)
    app = web.Application()
    app.router.add_static("/", folder, follow_symlinks=True)
    with WebThread(app) as server:
        yield f"http://{server.address}"
