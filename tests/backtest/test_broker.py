"""The broker that fills at the close: when, at what price, for how much money, and who is told."""

from __future__ import annotations

import backtrader as bt
import numpy as np
import pytest

from llmguide.backtest import BarsData, CloseFillBroker, cost_rate, use_close_fills
from llmguide.errors import LlmguideError


class ByBar(bt.Strategy):
    """Does what `actions[bar]` says, and writes down what it is told."""

    params = (("actions", {}),)

    def __init__(self):
        self.states, self.orders, self.trades = [], [], []

    def next(self):
        bar = len(self) - 1
        self.p.actions.get(bar, lambda strategy: None)(self)
        self.states.append((self.position.size, self.broker.getcash(), self.broker.getvalue()))

    def notify_order(self, order):
        self.orders.append((len(self) - 1, order.ref, order.getstatusname(), order.executed.price))

    def notify_trade(self, trade):
        self.trades.append((len(self) - 1, trade.isclosed, trade.pnlcomm))

    def told(self, status):
        return [(bar, price) for bar, _, name, price in self.orders if name == status]


def run(bars, actions, *, broker=None, cash=1_000.0, commission=0.01, strategy=ByBar, **settings):
    cerebro = bt.Cerebro(stdstats=False, **settings)
    cerebro.broker = CloseFillBroker() if broker is None else broker
    cerebro.broker.setcash(cash)
    cerebro.broker.setcommission(commission=commission)
    cerebro.adddata(BarsData(dataname=bars))
    cerebro.addstrategy(strategy, actions=actions)
    return cerebro.run()[0]


def test_cash_position_and_value_are_those_after_the_trade_as_soon_as_it_is_sent(at_prices):
    bars = at_prices([10, 10, 20, 30])
    ran = run(bars, {1: lambda s: s.buy(size=5), 2: lambda s: s.sell(size=8)})
    # 1,000 - 5 * 10 * 1.01; then + 8 * 20 * 0.99, three of the eight sold short.
    assert ran.states == [
        (0, 1_000.0, 1_000.0),
        (5, 949.5, pytest.approx(999.5)),
        (-3, pytest.approx(1_107.9), pytest.approx(1_047.9)),
        (-3, pytest.approx(1_107.9), pytest.approx(1_017.9)),
    ]


def test_the_price_is_the_close_and_not_the_next_open(make_bars):
    bars = make_bars(5)
    ran = run(bars, {2: lambda s: s.buy(size=1)})
    ((_, price),) = ran.told("Completed")
    assert price == bars["close"].iloc[2]


def test_a_strategy_is_told_once_on_its_next_bar_and_not_while_it_sends(at_prices):
    class Careful(ByBar):
        """The usual way to wait for an order: a notification inside `buy` would leave it waiting for ever."""

        waiting = None

        def next(self):
            if self.waiting is None:
                self.waiting = self.buy(size=1)
            super().next()

        def notify_order(self, order):
            super().notify_order(order)
            if self.waiting is not None and order.ref == self.waiting.ref and not order.alive():
                self.waiting = None

    ran = run(at_prices([10, 11, 12, 13]), {}, strategy=Careful)
    assert ran.told("Completed") == [(1, 10.0), (2, 11.0), (3, 12.0)]
    assert [bar for bar, *_ in ran.trades] == [1]


def test_deliver_tells_on_the_same_bar_and_only_once(at_prices):
    actions = {
        1: lambda s: (s.buy(size=1), s.broker.deliver(s)),
        3: lambda s: (s.sell(size=1), s.broker.deliver(s)),
    }
    for settings in ({}, {"runonce": False}, {"quicknotify": True}):
        ran = run(at_prices([10, 11, 12, 13]), actions, commission=0.0, **settings)
        assert ran.told("Completed") == [(1, 11.0), (3, 13.0)]
        assert [name for _, _, name, _ in ran.orders] == ["Submitted", "Accepted", "Completed"] * 2
        assert ran.trades == [(1, False, 0.0), (3, True, 2.0)]
        assert len(ran._orders) == 6


def test_deliver_leaves_another_strategys_notifications_alone(at_prices):
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.broker = CloseFillBroker()
    cerebro.adddata(BarsData(dataname=at_prices([10, 11, 12])))
    cerebro.addstrategy(ByBar, actions={1: lambda s: s.buy(size=1)})
    cerebro.addstrategy(ByBar, actions={1: lambda s: s.broker.deliver(s)})
    first, second = cerebro.run()
    assert first.told("Completed") == [(2, 11.0)]
    assert second.orders == []


def test_what_the_cash_cannot_pay_is_refused(at_prices):
    ran = run(at_prices([10, 10, 10]), {1: lambda s: s.buy(size=100)})
    assert [name for _, _, name, _ in ran.orders] == ["Submitted", "Margin"]
    assert ran.states[-1] == (0, 1_000.0, 1_000.0)


@pytest.mark.parametrize(("cost", "price", "shares"), [(0.001, 19.99, 523), (0.002, 7.77, 12_345), (0.1, 3.3, 77)])
def test_the_last_cent_may_be_spent_and_one_more_may_not(at_prices, cost, price, shares):
    bars = at_prices([price] * 3)
    needed = shares * (price * (1 + cost))
    for cash, expected in ((needed, shares), (needed - 0.01, 0)):
        ran = run(bars, {1: lambda s: s.buy(size=shares)}, cash=cash, commission=cost)
        assert ran.position.size == expected


def test_a_ruinous_short_can_be_bought_back(at_prices):
    bars = at_prices([10, 10, 40, 40, 40])
    actions = {1: lambda s: s.sell(size=100), 2: lambda s: s.buy(size=60), 3: lambda s: s.close()}
    ran = run(bars, actions, commission=0.0)
    assert [state[0] for state in ran.states] == [0, -100, -40, 0, 0]
    assert ran.states[-1][1] == -2_000.0
    assert [name for _, _, name, _ in ran.orders].count("Completed") == 3


def test_a_ruinous_short_cannot_be_turned_into_a_long(at_prices):
    actions = {1: lambda s: s.sell(size=100), 2: lambda s: s.buy(size=101)}
    ran = run(at_prices([10, 10, 40, 40]), actions, commission=0.0)
    assert [state[0] for state in ran.states] == [0, -100, -100, -100]
    assert ran.orders[-1][2] == "Margin"


def brackets_and_the_like(strategy):
    close = strategy.data.close[0]
    strategy.buy(size=1, exectype=bt.Order.Limit, price=close * 0.995)
    strategy.sell(size=1, exectype=bt.Order.Stop, price=close * 0.985)
    strategy.buy(size=1, exectype=bt.Order.StopLimit, price=close * 1.01, plimit=close * 1.02)
    strategy.sell(size=1, exectype=bt.Order.StopTrail, trailpercent=0.02)
    strategy.buy(size=1, exectype=bt.Order.Close)
    strategy.buy(size=1, coc=False)


def test_all_other_orders_follow_the_stock_rules(make_bars):
    bars = make_bars(40, volatility=0.03)
    actions = dict.fromkeys(range(0, 30, 7), brackets_and_the_like)
    ours = run(bars, actions, cash=1e6)
    stock = run(bars, actions, broker=bt.brokers.BackBroker(), cash=1e6)
    first = ours.orders[0][1] - stock.orders[0][1]
    assert [(bar, ref - first, *rest) for bar, ref, *rest in ours.orders] == stock.orders
    assert len(ours.told("Completed")) > 15
    assert ours.states[-1] == stock.states[-1]


def test_a_bracket_enters_at_the_close_and_its_exits_wait_for_the_next_bar(at_prices):
    bars = at_prices([10, 10, 10.5, 12, 12])
    bars.loc[bars.index[1], ["high", "low"]] = 13.0, 7.0  # the exits would have been hit on the bar of the entry
    actions = {1: lambda s: s.buy_bracket(size=4, exectype=bt.Order.Market, limitprice=11.0, stopprice=8.0)}
    ran = run(bars, actions, commission=0.0)
    assert [state[0] for state in ran.states] == [0, 4, 4, 0, 0]
    assert [price for _, price in ran.told("Completed")] == [10.0, 12.0]
    assert len(ran.told("Canceled")) == 1
    assert ran.states[-1][1] == 1_000.0 + 4 * 2


def test_a_bracket_whose_entry_is_refused_leaves_nothing_behind(at_prices):
    actions = {1: lambda s: s.buy_bracket(size=400, exectype=bt.Order.Market, limitprice=11.0, stopprice=8.0)}
    ran = run(at_prices([10, 10, 7, 12]), actions)
    assert ran.told("Completed") == []
    assert not ran.broker.get_orders_open()


def test_what_a_volume_filler_leaves_is_filled_from_the_next_open_on(make_bars):
    bars = make_bars(6)
    broker = CloseFillBroker(filler=bt.broker.fillers.FixedSize(size=3))
    ran = run(bars, {1: lambda s: s.buy(size=8)}, broker=broker)
    assert [state[0] for state in ran.states] == [0, 3, 6, 8, 8, 8]
    spent = 3 * bars["close"].iloc[1] + 3 * bars["open"].iloc[2] + 2 * bars["open"].iloc[3]
    assert ran.states[-1][1] == pytest.approx(1_000 - spent * 1.01)


def test_slippage_applies_within_the_bar(make_bars):
    bars = make_bars(4)
    broker = CloseFillBroker(slip_perc=0.001, slip_open=True)
    ran = run(bars, {2: lambda s: s.buy(size=1)}, broker=broker)
    ((_, price),) = ran.told("Completed")
    assert price == pytest.approx(min(bars["close"].iloc[2] * 1.001, bars["high"].iloc[2]))


def test_without_coc_it_is_the_stock_broker(make_bars):
    bars = make_bars(4)
    ran = run(bars, {1: lambda s: s.buy(size=1)}, broker=CloseFillBroker(coc=False))
    assert ran.told("Completed") == [(2, bars["open"].iloc[2])]


def test_use_close_fills_keeps_cash_and_commissions(at_prices):
    cerebro = bt.Cerebro()
    cerebro.broker.setcash(777.0)
    cerebro.broker.setcommission(commission=0.02)
    cerebro.broker.setcommission(commission=0.03, name="other")
    broker = use_close_fills(cerebro)
    assert cerebro.broker is broker
    cerebro.adddata(BarsData(dataname=at_prices([1, 2])), name="other")
    cerebro.adddata(BarsData(dataname=at_prices([1, 2])), name="ours")
    cerebro.run()
    assert broker.getcash() == 777.0
    assert [cost_rate(broker, data) for data in cerebro.datas] == [0.03, 0.02]


@pytest.mark.parametrize("scheme", [{"commission": 5.0, "margin": 100.0}, {"commission": 1.5}, {"commission": -0.1}])
def test_a_cost_that_is_no_fraction_is_refused(at_prices, scheme):
    broker = CloseFillBroker()
    broker.setcommission(**scheme)
    with pytest.raises(LlmguideError, match=r"setcommission\(commission=0.001\)"):
        cost_rate(broker, BarsData(dataname=at_prices([1, 2])))


def test_a_commission_per_order_is_refused(at_prices):
    class Minimum(bt.CommissionInfo):
        def _getcommission(self, size, price, pseudoexec):
            return max(5.0, 0.001 * abs(size) * price)

    broker = CloseFillBroker()
    broker.addcommissioninfo(Minimum())
    with pytest.raises(LlmguideError, match="fraction of the traded value"):
        cost_rate(broker, BarsData(dataname=at_prices([1, 2])))


def test_money_is_kept_over_many_random_orders(make_bars):
    """The books balance: cash moves by price and commission of each fill, and by nothing else."""
    bars = make_bars(200, volatility=0.05)
    random = np.random.default_rng(0)
    sizes = {bar: int(random.integers(-40, 41)) for bar in range(200)}
    actions = {bar: lambda s, size=size: (s.buy if size > 0 else s.sell)(size=abs(size)) for bar, size in sizes.items()}
    ran = run(bars, actions, cash=1e6, commission=0.003)
    close = bars["close"].to_numpy()
    traded = np.array([sizes[bar] for bar in range(200)])
    cash = 1e6 - np.cumsum(traded * close + 0.003 * np.abs(traded) * close)
    held = np.cumsum(traded)
    np.testing.assert_allclose([state[1] for state in ran.states], cash)
    np.testing.assert_allclose([state[2] for state in ran.states], cash + held * close)
