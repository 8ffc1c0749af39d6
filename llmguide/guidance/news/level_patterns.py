"""What levels and prices look like in headlines: "S&P 500 closes below 2,486" and "Bitcoin above $9,000" name a day.

A number is a level where the name of an index, a commodity, a coin or a share stands before it, with nothing between
them but words of such news, the last of which leads to a level: "at", "above", "hits". So is a price a share, or a
barrel. Percentages, changes in points, counts ("1,500 jobs") and amounts of money ("$3 billion", earnings and dividends
a share) are none. Every repetition has an upper bound, so that the time stays linear in the text.
"""

from __future__ import annotations

import re
from collections import Counter

from llmguide.guidance.news.name_patterns import END, START, rule

__all__ = ["hide_levels"]

_INDICES = (
    r"S&P(?: ?(?:500|400|600|100))?(?! ?Global)|(?:the )?Dow(?: Jones)?(?: Industrials?)?(?: Average)?(?: 30)?|DJIA"
    r"|Nasdaq(?:[ -](?:Composite|100))*|Russell(?: ?[123]000)?|FTSE(?: ?(?:100|250|350))?|DAX(?: ?[34]0)?|CAC(?: ?40)?"
    r"|IBEX(?: ?35)?|(?:Euro ?)?Stoxx(?:(?: Europe)? ?(?:50|600))?|Nikkei(?:[ -](?:225|average|stock average))*|Topix"
    r"|Hang Seng|Shanghai Composite|CSI ?300|Kospi(?: 200)?|Sensex|Nifty(?: 50)?|ASX ?200|TSX|[BI]?Bovespa|SMI|VIX"
    r"|volatility index|dollar index|DXY"
)
_TRADED = (
    r"gold|silver|platinum|palladium|copper|aluminium|aluminum|nickel|iron ore|(?:crude )?oil|crude|Brent(?: crude)?"
    r"|WTI|natural gas|gasoline|wheat|corn|soybeans?|coffee|cocoa|sugar|cotton|lumber"
    r"|bitcoin|BTC|ether(?:eum)?|ETH|XRP|litecoin|dogecoin"
)
_SHARES = r"shares?|stock|(?:share|stock|target|offer) price|(?:price )?target|(?-i:PT)|the Company"

# Words of such news, and their endings: "closes", "closing", "closed".
_MOVE = (
    r"(?:add|advanc|below|break|broke|chang|clear|climb|clos|cross|cut|declin|dip|drop|eas|edg|end|extend|fail|fall|fell"
    r"|finish|future|gain|held|hike|hit|hold|hover|inch|index|jump|lift|lose|loss|lost|lower|mark|near|open|plung|point"
    r"|pop|price|pull|push|rais|rall|reach|rebound|recover|remain|retak|retreat|reclaim|ris|rose|sank|settl|set|sink|sit"
    r"|slid|slip|slump|soar|spik|spot|stag|stand|stay|steadi|stood|stretch|surg|surpass|swing|test|touch|top|trad|trim"
    r"|trip|tumbl|upp)(?:e|s|d|n|y|es|ed|er|ers|ing|ped|ps|ping|ting|ges|ses|ies|ied|th)?"
)
_SMALL = (
    r"a|an|the|its|new|all-time|record|fresh|first|time|ever|key|low|lows|high|highs|higher|up|down|back|just|well|far"
    r"|after|before|than|more|less|hours?|days?|today|now|still|again|briefly|sharply|slightly|barely|flat|little|steady"
    r"|unchanged|almost|about|nearly|roughly|and|as|in|on|by|for|to|at|of|from|below|above|over|under|is|are|was|were"
    r"|has|have|will|could|may|might|day|week|session|month|year|level|current|contracts?|average"
)
_TO_A_LEVEL = (
    r"(?:at|to|above|below|over|under|past|nears?|average|around|about|through|from|towards?|of|hits?|hitting|tops?"
    r"|topp(?:ed|ing)|breaks?|broke|cross(?:es|ed)|reach(?:es|ed)|surpass(?:es|ed)|touch(?:es|ed)|tests?"
    r"|breach(?:es|ed)|retakes?|reclaims?|holds?|clears?)"
)
_CHANGE = r"[+-]?\d{1,4}(?:\.\d{1,2})?(?:%| ?percent| ?per cent| points?| cents?|-(?:day|week|month|year))"
_BETWEEN = rf"(?:[,:]? (?:{_MOVE}|{_SMALL}|{_CHANGE}){END}|[,:]? {_CHANGE})"
_LEAD = rf"(?:'s)?{_BETWEEN}{{0,8}}[,:]? {_TO_A_LEVEL}(?: (?:a|an|the|its|record|about|nearly|almost|roughly|just))*? "

_MONEY = r"(?:(?:US|A|C|HK)?[$€£¥]|(?:USD|EUR|GBP) )"
_FIGURE = r"\d{1,6}(?:,\d{3}){0,2}(?:\.\d{1,4})?"
_THREE_DIGITS = rf"(?=(?:[.,]?\d){{3}})(?!0\.){_FIGURE}"
_NO_LEVEL = (
    r"(?![\d%]|[.,:]\d|[A-Za-z]|-(?!level|mark)[A-Za-z]"
    r"| ?(?:%|percent|per cent|pct|bps|basis|thousand|million|billion|trillion|mln|bln|mn|bn|m|b)" + END + ")"
)
_NO_COUNT = r"(?! (?!(?:as|is|was|has|this|its|us)" + END + r")[A-Za-z]{2,20}s" + END + ")"  # "1,500 jobs"
_NUMBER = rf"(?:{_THREE_DIGITS}|\d{{1,3}}(?:\.\d)?[kK]){_NO_LEVEL}{_NO_COUNT}"
_PRICE = rf"(?:{_MONEY}\d{{1,3}}(?:\.\d)?[kK]|{_MONEY}{_FIGURE}|(?=(?:[.,]?\d){{3}})\d{{1,6}}\.\d\d){_NO_LEVEL}"

_INDEX = rf"(?=(?P<index>{_INDICES}))(?P=index){END}"  # as long as it can be: the 500 of "S&P 500" is no level
_THING = rf"(?=(?P<thing>{_TRADED}))(?P=thing){END}"
_EARNED = (
    r"(?i:EPS|FFO|earn|profit|loss|income|dividend|payout|distribut|adj|est|consensus|guid|forecast|outlook|expect"
    r"|report|post|beat|miss|Q[1-4]|quarter|full-year|vs)"
)
_A_SHARE = r"(?:-a-| an? | per | ?/ ?| each )shares?"
_UNIT = r"(?:-a-| an? | per | ?/ ?)(?:barrel|bbl|ounce|oz|tonne|ton|bushel|pound|lb|gallon|coin)"

_RULES = (
    rule("level", rf"(?i:{START}{_INDEX})(?P<lead>(?i:{_LEAD}|:? ))(?i:{_NUMBER})", r"\g<index>\g<lead>a level"),
    rule(
        "level",
        rf"(?i:{START}{_INDEX})(?P<lead>(?i:{_BETWEEN}{{0,8}},? (?:at|to|above|below|past|near|from) ))"
        rf"(?i:{_THREE_DIGITS})(?= points?{END})",
        r"\g<index>\g<lead>a level of",
    ),
    rule(
        "level",
        rf"(?i:{START}{_THING})(?P<lead>(?i:{_LEAD}|:? ))(?i:{_PRICE}|{_NUMBER})",
        r"\g<thing>\g<lead>a price",
    ),
    rule(
        "level",
        rf"(?i:{START}(?P<share>{_SHARES}){END})(?P<lead>(?i:{_LEAD}|:? ))(?i:{_PRICE})",
        r"\g<share>\g<lead>a price",
    ),
    rule(
        "level",
        rf"(?P<lead>{START}(?i:clos|open|trad|settl|end|finish)(?i:e|es|ed|s|ing)?(?i:{_BETWEEN}{{0,4}})"
        rf" (?i:at|near|around|above|below) )(?i:{_PRICE}|(?=\d{{1,3}},){_NUMBER})",
        r"\g<lead>a price",
    ),
    rule("level", rf"{_MONEY}{_FIGURE}(?=(?i:{_UNIT}){END})", "a price"),
)
_PRICE_A_SHARE = re.compile(rf"{_MONEY}(?=\d{{2}}|[1-9]\.\d\d){_FIGURE}(?=(?i:{_A_SHARE}){END})")
_EARNINGS = re.compile(rf"{START}{_EARNED}")


def hide_levels(text: str, replaced: Counter[str]) -> str:
    """Return `text` with "a level" and "a price" in the place of levels and prices, which are counted as "level"."""
    if not re.search(r"\d\d", text):
        return text
    for replace in _RULES:
        text = replace(text, replaced)
    if not _EARNINGS.search(text):
        text, count = _PRICE_A_SHARE.subn("a price", text)
        replaced.update({"level": count} if count else {})
    return text
