"""``POST /analytics`` over any source: for other languages, for dashboards, and for tests without the real service."""

from vapi_frames.server.app import create_app

__all__ = ["create_app"]
