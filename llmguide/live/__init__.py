"""Paper and live trading: the strategies of a Cerebro behind a journal, limits and a kill switch."""

from llmguide.live.asked import remembered
from llmguide.live.attaching import attach
from llmguide.live.control import Status, kill, reset, settle, status
from llmguide.live.guard import Guard
from llmguide.live.journal import Journal
from llmguide.live.limits import Limits
from llmguide.live.orders import Report

__all__ = [
    "Guard",
    "Journal",
    "Limits",
    "Report",
    "Status",
    "attach",
    "kill",
    "remembered",
    "reset",
    "settle",
    "status",
]
