"""Levels and prices in headlines, which name a day, are hidden; percentages, counts and amounts of money stay."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmguide.guidance.news.anonymise import Name, Names

NAMES = Names((Name("Apple", "company"), Name("AAPL", "ticker")))

HIDDEN = {
    "S&P 500 closes below 2,486": "S&P 500 closes below a level",
    "Bitcoin above $9,000": "Bitcoin above a price",
    "Rally as S&P 500 tops 2,500 for first time": "Rally as S&P 500 tops a level for first time",
    "Dow closes above 24,000 for the first time ever": "Dow closes above a level for the first time ever",
    "Dow 20,000: what it means for investors": "Dow a level: what it means for investors",
    "Dow Jones Industrial Average falls 1.2% to 23,271.28": "Dow Jones Industrial Average falls 1.2% to a level",
    "Nasdaq Composite ends down 0.5% at 7,273.01": "Nasdaq Composite ends down 0.5% at a level",
    "S&P 500 gains 12 points, to 2,747.71": "S&P 500 gains 12 points, to a level",
    "FTSE 100 hits record high of 7,599": "FTSE 100 hits record high of a level",
    "Nikkei 225 slips below 20,000": "Nikkei 225 slips below a level",
    "Nikkei average ends at 21,812.00": "Nikkei average ends at a level",
    "DAX closes at 12,860.07 points": "DAX closes at a level of points",
    "Russell 2000 breaks 1,600": "Russell 2000 breaks a level",
    "VIX spikes to 37.32": "VIX spikes to a level",
    "S&P 500 to end 2018 at 3,000, strategists say": "S&P 500 to end a year at a level, strategists say",
    "Gold slips below $1,300 an ounce": "Gold slips below a price an ounce",
    "Gold at $1,311.40": "Gold at a price",
    "Oil settles at $65.47 a barrel": "Oil settles at a price a barrel",
    "Brent crude tops $80 for first time since 2014": "Brent crude tops a price for first time since a year",
    "Oil drops under $45 a barrel": "Oil drops under a price a barrel",
    "BTC: $10,000 and rising": "BTC: a price and rising",
    "Bitcoin hits 10k": "Bitcoin hits a price",
    "Bitcoin tumbles 15% to $6,914.26 as rout deepens": "Bitcoin tumbles 15% to a price as rout deepens",
    "Ether falls to $85": "Ether falls to a price",
    "Shares closed at $189.95 on Friday": "Shares closed at a price on Friday",
    "Shares fall 2% to $54.20": "Shares fall 2% to a price",
    "Stock hits all-time high of $233.47": "Stock hits all-time high of a price",
    "Stock hits 52-week low of $142.00": "Stock hits 52-week low of a price",
    "Stock closes at 189.95": "Stock closes at a price",
    "It closed the session at $189.95": "It closed the session at a price",
    "the Company tops $1,000": "the Company tops a price",
    "the Company rises 3% to $189.95 after call": "the Company rises 3% to a price after call",
    "Analyst lifts price target to $210 from $195": "Analyst lifts price target to a price from a price",
    "Price target cut to $170 at broker": "Price target cut to a price at broker",
    "PT raised to $210": "PT raised to a price",
    "Buyer to pay $189.95 a share in cash": "Buyer to pay a price a share in cash",
    "Bidder offers $54.20 per share": "Bidder offers a price per share",
    "Board rejects $85-a-share bid": "Board rejects a price-a-share bid",
    "Takeover at $189.95 a share": "Takeover at a price a share",
    "IPO prices at $17.00 per share": "IPO prices at a price per share",
    "S&P 500 falls to 2,486 from 2,510": "S&P 500 falls to a level from a level",
    "S&P 500 CLOSES BELOW 2,486": "S&P 500 CLOSES BELOW a level",
    "Dow futures down 300 points at 24,100": "Dow futures down 300 points at a level",
    "Gold futures settle 0.4% higher at $1,330.40": "Gold futures settle 0.4% higher at a price",
    "Natural gas hits $4.84": "Natural gas hits a price",
    "Copper at $7,000 a tonne": "Copper at a price a tonne",
    "Hang Seng ends above 33,000": "Hang Seng ends above a level",
    "S&P 500 at 2045": "S&P 500 at a level",
    "Nasdaq adds 0.4 per cent to 7,273": "Nasdaq adds 0.4 per cent to a level",
    "S&P 500 closes below 2,486, Russell 2000 below 1,600": "S&P 500 closes below a level, Russell 2000 below a level",
    "NASDAQ: AAPL closes at $189.95": "the Company closes at a price",
    "Apple at $189.95": "the Company at a price",
    "AAPL tops $1,000": "the Company tops a price",
    "Gold’s price rises to $1,311.40": "Gold's price rises to a price",
    "Bitcoin breaks $11,000 hours after topping $10,000": "Bitcoin breaks a price hours after topping a price",
    "Dow sheds 1,175 points, S&P 500 sinks 4.1% to 2,648.94": "Dow sheds 1,175 points, S&P 500 sinks 4.1% to a level",
    "Why Bitcoin could hit $100,000": "Why Bitcoin could hit a price",
    "Oil prices steady near $70": "Oil prices steady near a price",
    "WTI crude at 66.81": "WTI crude at a price",
    "Apple Stock Could Hit $200": "the Company Stock Could Hit a price",
    "Apple downgraded to Neutral, target $175": "the Company downgraded to Neutral, target a price",
    "Apple PT Raised to $210 From $195": "the Company PT Raised to a price From a price",
    "Shares of Apple closed at $189.95": "Shares of the Company closed at a price",
    "Copper price to average $3.10 in 2019": "Copper price to average a price in a year",
}

KEPT = [
    "S&P 500 falls 2.1%",
    "S&P 500 companies report earnings",
    "S&P 500 index falls",
    "S&P 500 closes at record high",
    "S&P 500 firms to spend $800 billion on buybacks",
    "Joins S&P 500, 1,200 funds buy",
    "Dow drops 1,175 points in biggest fall",
    "Dow falls more than 1,000 points",
    "Dow to cut 2,000 jobs",
    "Dow adds 250 points",
    "Dow Chemical to invest $2.5 billion",
    "Nasdaq 100 stocks rally",
    "Nasdaq lists 150 companies",
    "Russell 2000 lags",
    "FTSE 100 up 1%",
    "CAC 40 and DAX 30 rise",
    "Gold miner cuts 1,500 jobs",
    "Gold Fields hires 300",
    "Gold output rises to 450,000 ounces",
    "Oil giant raises dividend to $0.77 per share",
    "Oil producers pump 1,500 barrels",
    "Oil rig count falls to 1,080",
    "Crude stockpiles fall by 3.5 million barrels",
    "Oil at 3-year high",
    "Bitcoin miner orders 10,000 machines",
    "Bitcoin fund tops $500 million",
    "Bitcoin falls 12%",
    "Earnings of $2.18 a share beat estimates",
    "Q1 EPS $2.18 vs. $2.10 expected",
    "Dividend raised to $0.73 per share",
    "the Company adds 1,500 jobs",
    "the Company sells 52.2 million phones",
    "the Company hits $1 trillion market value",
    "the Company to buy back $100 billion of shares",
    "Stock closes above its 200-day average",
    "Shares trade at 15 times earnings",
    "Shares trade at 22.5 times earnings",
    "Revenue rises to $84.3 billion",
    "Stores open at 9:30",
    "Stores to open at 1,200 locations",
    "Shares outstanding fall to 4,500 million",
    "SMA 20/50/200 at 187.2, RSI 14",
    "Phone sells for $999",
    "Fine of $1,300 for the chief",
    "Orders for new pumps rose for week 3, suppliers say",
    "EPS of $1.20 against $1.10, Q1 results",
    "Stock split of 7 for 1",
    "the Company cuts 300 in Texas",
    "Corn belt gets 300 new plants",
    "Sugar tax to raise $520 million",
    "Oil workers strike at 1,200 sites",
    "Gold rises for 5th day to 1-week high",
    "Gold at 100-day high",
    "Phone priced at $999",
    "Fund closes at $450 million",
    "Fund closes at $1.2bn",
    "Store opens at 500 Fifth Avenue",
    "Bitcoin machines top 4,000",
    "Gold demand falls to 300 tons",
    "Dow 30 components",
    "Nasdaq to buy firm for $190 million",
    "Loss of $1.46 a share",
    "Brent crew 1,500-strong",
    "Nasdaq 300% higher",
]


@pytest.mark.parametrize(("headline", "expected"), HIDDEN.items())
def test_a_level_or_a_price_is_hidden(headline, expected):
    found = NAMES.anonymise(headline, levels=True)
    assert found.text == expected
    assert found.replaced["level"] == expected.count("a level") + expected.count("a price")


@pytest.mark.parametrize("headline", KEPT)
def test_what_is_none_stays(headline):
    assert NAMES.anonymise(headline, levels=True) == (headline, {})


@pytest.mark.parametrize("headline", HIDDEN)
def test_levels_stay_unless_they_are_to_be_hidden(headline):
    found = NAMES.anonymise(headline)
    assert "level" not in found.replaced
    assert "a level" not in found.text


WORDS = st.sampled_from(" ".join([*HIDDEN, *KEPT]).split())


@given(st.one_of(st.lists(WORDS, max_size=15).map(" ".join), st.text(alphabet="S&P 50,.$%kgoldat:-\n")))
def test_hiding_twice_changes_nothing(text):
    once = NAMES.anonymise(text, levels=True).text
    assert NAMES.anonymise(once, levels=True) == (once, {})


@pytest.mark.parametrize(
    "piece",
    ["S&P 500 ", "Dow to ", "gold futures points ", "closes at ", "shares fall by 5%, ", "1,", "$1 a ", "trading up "],
)
def test_the_time_is_linear_in_the_text(piece):
    def seconds(length: int) -> float:
        text = piece * (length // len(piece)) + "10"
        start = time.process_time()
        NAMES.anonymise(text, levels=True)
        return time.process_time() - start

    seconds(1_000)  # compiles the table's patterns
    # 16 times the text; a quadratic rule would need 256 times the time.
    assert seconds(32_000) < 64 * max(min(seconds(2_000) for _ in range(3)), 0.002)
