"""One run of the code that is audited, whatever it is."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import backtrader as bt

from llmguide.audit.cerebro import cerebro_of, trace_cerebro
from llmguide.audit.functions import trace_values
from llmguide.audit.futures import Inputs
from llmguide.audit.trace import Trace

__all__ = ["Code", "Tracer", "tracer_of"]

Code = type[bt.Strategy] | type[bt.Indicator] | Callable[..., Any]
Tracer = Callable[[Inputs], Trace]


def tracer_of(code: Code, **params: Any) -> Tracer:
    """Return what runs code on inputs, and notes what it says.

    A strategy or an indicator runs in an ordinary Cerebro: Backtrader's own broker and settings. A function gets the
    bars, the tables by name, and the parameters; a Cerebro that it returns is run, anything else is a value for each
    bar.
    """
    return partial(_trace, code, params)


def _trace(code: Code, params: dict[str, Any], inputs: Inputs) -> Trace:
    bars, given = inputs.bars.copy(), {**inputs.frames, **params}
    if isinstance(code, type) and issubclass(code, bt.Strategy):
        return trace_cerebro(cerebro_of(bars, code, **given))
    if isinstance(code, type) and issubclass(code, bt.Indicator):
        return trace_cerebro(cerebro_of(bars, indicators=(code,), **given))
    returned = code(bars, **given)
    return trace_cerebro(returned) if isinstance(returned, bt.Cerebro) else trace_values(returned, inputs.bars)
