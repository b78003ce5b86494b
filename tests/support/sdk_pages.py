"""Pages of a shop that load an SDK as published, served on an origin of their own."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

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


class _Handler(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Log nothing."""


@contextmanager
def served(folder: Path, sdks: Path) -> Iterator[str]:
    """Serve a folder, with the SDKs below ``/sdks``; the origin."""
    (folder / "sdks").symlink_to(sdks)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
