"""A mixture of experts whose weights follow what each has earned: `llmguide.mix`.

run        the door
experts    the kinds of experts, and from which bar on their record counts
prior      what is credited to an expert before its own record
live       the same mixture, one bar at a time
live_mix   mixture and experts, on bars as they arrive
followers  what each expert proposes there, one bar at a time
reading    what a language-model policy proposes there, on an account of its own
result     the result: sides, results, records, weights, positions
trust      which expert was trusted when, why, and what each was worth: `review`
kernels    what runs per bar, shared by all of these

Knows neither torch nor Backtrader. The idea is arXiv 2508.02366's mixture of experts, left there for later work; the
weights are llmguide's own.
"""

from llmguide.mixture.experts import (
    Expert,
    FollowAgent,
    FollowGuidance,
    FollowPolicy,
    FollowProvider,
    Function,
    Hold,
    MovingAverages,
    Sides,
    sides_of,
)
from llmguide.mixture.followers import Bar
from llmguide.mixture.live import Mixed, Mixture
from llmguide.mixture.live_mix import LiveMix, Weighed
from llmguide.mixture.prior import Prior
from llmguide.mixture.result import Mix
from llmguide.mixture.run import mix, mix_draws
from llmguide.mixture.trust import Review, review

__all__ = [
    "Bar",
    "Expert",
    "FollowAgent",
    "FollowGuidance",
    "FollowPolicy",
    "FollowProvider",
    "Function",
    "Hold",
    "LiveMix",
    "Mix",
    "Mixed",
    "Mixture",
    "MovingAverages",
    "Prior",
    "Review",
    "Sides",
    "Weighed",
    "mix",
    "mix_draws",
    "review",
    "sides_of",
]
