"""Query Vapi call analytics, and get a typed pandas DataFrame with the right numbers.

Examples:
    >>> import vapi_frames as vf
    >>> vq = vf.demo()  # a sample organization; `from vapi_frames import vq` is the API
    >>> vq.call().sum("cost").count().by("type").during("2026-10").fetch().round(2)
                       sumCost  countId
    type
    inboundPhoneCall   1152.42     6537
    outboundPhoneCall   576.42     4265
    webCall             413.38     2693
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

from vapi_frames.interface import accessor as accessor

if TYPE_CHECKING:
    from vapi_frames import analysis, errors
    from vapi_frames.analysis import load
    from vapi_frames.analysis.workbook import to_excel
    from vapi_frames.errors import VapiFramesError
    from vapi_frames.frames.from_reply import to_frame
    from vapi_frames.interface.accessor import VapiAccessor, frame
    from vapi_frames.interface.connect import connect, demo, local, record, replay, vq, warehouse
    from vapi_frames.interface.vq import Vq
    from vapi_frames.query.aggregation import output
    from vapi_frames.query.comparison import Comparison
    from vapi_frames.query.query import Query
    from vapi_frames.report.report import Report
    from vapi_frames.sources.cache import cache
    from vapi_frames.sources.local.sample import sample_calls
    from vapi_frames.sources.progress import Progress

__version__ = "0.1.0"
__all__ = [
    "Comparison",
    "Progress",
    "Query",
    "Report",
    "VapiAccessor",
    "VapiFramesError",
    "Vq",
    "analysis",
    "cache",
    "connect",
    "demo",
    "errors",
    "frame",
    "load",
    "local",
    "output",
    "record",
    "replay",
    "sample_calls",
    "to_excel",
    "to_frame",
    "vq",
    "warehouse",
]

_MODULES = {"analysis": "analysis", "cache": "sources.cache.cache"}
_HOMES = {
    "Comparison": "query.comparison",
    "Progress": "sources.progress",
    "Query": "query.query",
    "Report": "report.report",
    "VapiAccessor": "interface.accessor",
    "VapiFramesError": "errors",
    "Vq": "interface.vq",
    "connect": "interface.connect",
    "demo": "interface.connect",
    "frame": "interface.accessor",
    "load": "analysis",
    "local": "interface.connect",
    "output": "query.aggregation",
    "record": "interface.connect",
    "replay": "interface.connect",
    "sample_calls": "sources.local.sample",
    "to_excel": "analysis.workbook",
    "to_frame": "frames.from_reply",
    "vq": "interface.connect",
    "warehouse": "interface.connect",
}


def __getattr__(name: str) -> Any:
    # Everything but the accessor is imported on first use: importing the package costs what pandas costs.
    if name in _MODULES:
        return importlib.import_module(f"vapi_frames.{_MODULES[name]}")
    if name in _HOMES:
        return getattr(importlib.import_module(f"vapi_frames.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'vapi_frames' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


if "IPython" in sys.modules:  # completion of columns and groups inside quotes
    from vapi_frames.interface.completion import register as _register

    _register()
