"""An account that is watched tells what the environment's own account tells, to the bit."""

from __future__ import annotations

import numpy as np
import pytest

from llmguide.trading.flag_accounts import FlagAccounts
from llmguide.trading.flag_rules import FlagRules
from llmguide.trading.flag_watch import WatchedAccount


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("rules", [FlagRules(), FlagRules(cost=0.02, risk_free=1e-4, sharpe_limit=0.7)])
def test_the_view_is_the_environments_at_every_step(seed, rules):
    random = np.random.default_rng(seed)
    closes = 100.0 * np.exp(np.cumsum(random.normal(0.0, 0.02, 60)))
    accounts = FlagAccounts(closes, rules, whole=True)
    accounts.reset(0, 3)
    watched = WatchedAccount(rules, cost=rules.cost)
    for bar in range(3, 60):
        shares, cash = float(accounts.ledgers.shares[0]), float(accounts.ledgers.cash[0])
        assert watched.look(bar, shares, cash, float(closes[bar - 1])) == accounts.view(0)
        accounts.step([random.integers(3)])


def test_what_is_there_at_the_first_look_is_the_capital():
    watched = WatchedAccount(FlagRules(), cost=0.001)
    first = watched.look(9, 10.0, 500.0, 50.0)
    assert (first.value, first.cash, first.position) == (1.0, 0.5, 0.5)
    assert first.legal == (True, True, False)
    assert first.actions == first.rewards == first.values == ()
    second = watched.look(10, 0.0, 1_100.0, 60.0)
    assert (second.value, second.actions, second.legal) == (1.1, (-1,), (False, True, True))
