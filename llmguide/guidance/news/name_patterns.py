"""What names and dates look like when no table knows them: the rules of `anonymise`, one regular expression each.

Every repetition has an upper bound or begins where another cannot, so that the time stays linear in the text.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable

__all__ = ["END", "EXCHANGE", "LEGAL_FORM", "LINKS", "PHRASES", "RULES", "START", "TIDY", "Rule", "rule"]

Rule = Callable[[str, Counter[str]], str]
"""Replaces in a text, and counts by kind."""

# A word begins and ends beside anything but a letter or digit; \b would take "_" for one.
START, END = r"(?<![^\W_])", r"(?![^\W_])"

LEGAL_FORM = (
    r"(?:Inc|INC|Incorporated|Corp|CORP|Corporation|Co|Company|Companies|Ltd|LTD|LLC|PLC|Plc|plc|AG|SE|SA|S\.A|NV|N\.V"
    r"|GmbH|SpA|ASA|Oyj|Group|Holdings?|Bancorp|Technologies|Pharmaceuticals)" + END + r"\.?"
)
EXCHANGE = (
    r"(?i:NASDAQ(?:GS|GM|CM)?|NYSE(?: ?(?:American|Arca))?|AMEX|OTC|OTCQX|OTCMKTS|LSE|LON|TSX|TSXV|ASX|HKEX|HKG|ETR)"
)


def rule(kind: str, pattern: str, replacement: str) -> Rule:
    compiled = re.compile(pattern)

    def replace(text: str, replaced: Counter[str]) -> str:
        text, count = compiled.subn(replacement, text)
        if count:
            replaced[kind] += count
        return text

    return replace


LINKS = (
    rule("link", r"(?i:https?://|www\.)\S+", ""),
    rule("link", r"(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,4}", ""),
    rule("link", r"(?<![^\W_])@\w{1,50}", ""),
)

# Words that a headline in title case puts beside a name. Without them "CEO Says" would be a person.
_NO_NAME = (
    r"(?!(?:A|An|And|Are|As|At|By|For|From|In|Is|It|Its|Of|On|Or|Our|That|The|Their|They|This|To|Was|We|Who|Why|Will|With|You"
    r"|After|Against|Amid|Before|Down|How|Into|More|New|Not|Off|Out|Over|Than|Under|Up|What|When|Where"
    r"|Company|Companies|Day|Deal|Pay|Plan|Plans|Shares?|Stocks?|Acquires?|Agrees|Announces|Appoints|Backs|Beats|Buys|Calls"
    r"|Considers|Cuts|Defends|Expects|Eyes|Fires|Gets|Hires|Joins|Launches|Leaves|Makes|Meets|Misses|Names|Picks|Quits|Raises"
    r"|Rejects|Replaces|Reports|Resigns|Retires|Rises|Falls|Said|Says?|Sees|Sells|Steps|Sues|Takes|Talks|Taps|Tells|Told"
    r"|Unveils|Urges|Wants|Warns)" + END + ")"
)
_CAPITAL = "[A-ZÀ-ÖØ-Þ]"
_SURNAME = rf"{_NO_NAME}{_CAPITAL}[^\W\d_]{{0,30}}(?:[-']{_CAPITAL}[^\W\d_]{{0,30}})?{END}"
_BETWEEN = rf"(?: {_CAPITAL}\.)?(?: (?:van der|van|von|de la|de|der|den|al|bin))?"
_OFFICE = (
    r"(?i:CEO|CFO|COO|CTO|CIO|CMO|chief (?:executive|financial|operating|technology|information|marketing|investment)"
    r"(?: officer)?|chair(?:man|woman|person)?|(?:co-?)?founder|(?:managing |executive )?director|vice president|boss)"
)
_COMPANY_WORD = _NO_NAME + r"(?:[A-ZÀ-ÖØ-Þ]|\d{1,3}[A-Za-z])(?:[\w&'-]|\.(?=\w)){0,30}"

_MONTH = (
    r"(?:(?i:jan(?:uary)?|feb(?:ruary)?|apr(?:il)?|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?"
    r"|dec(?:ember)?)|March|MARCH|Mar|MAR|May|MAY)\.?"  # "march" and "may" are ordinary words
)
_DAY = r"(?:0?[1-9]|[12]\d|3[01])(?:st|nd|rd|th)?"
_YEAR = r"(?:19|20)\d\d"
_SHORT_YEAR = rf"(?:{_YEAR}|'\d\d)"
_WEEKDAY = r"(?:(?i:mon|tues?|wed(?:nes)?|thu(?:rs)?|fri|sat(?:ur)?|sun)(?i:day)?\.?,? )?"
_AMOUNT = r"(?![.,]?\d| ?(?:%|(?i:percent|bps|points?|million|billion|trillion|bn|mn|dollars|euros)" + END + "))"
_NO_AMOUNT = END + _AMOUNT
_CLOCK = r"(?:[T ]\d{1,2}:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:Z|[+-]\d\d:?\d\d)?)?"
_OF_YEAR = rf"(?:,? ?(?:of )?(?:(?i:fiscal|calendar) )?(?i:year )?(?:FY ?)?{_SHORT_YEAR}|'?\d\d|,? ?FY ?'?\d\d)"
_FULL_MONTH = "January|February|April|June|July|August|September|October|November|December"

_DATES = (
    (rf"{_YEAR}([-/.])\d{{1,2}}\1\d{{1,2}}{_CLOCK}{END}", "a date"),
    (rf"{_YEAR}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01]){_NO_AMOUNT}", "a date"),
    (rf"{_DAY}([-/.]){_DAY}\1{_YEAR}{_CLOCK}{END}", "a date"),
    (rf"{_DAY}/{_DAY}/(?:[0-3]\d|9\d){END}(?!-)", "a date"),
    (rf"(?<!'){_DAY}-{_MONTH}-(?:{_YEAR}|\d\d){END}", "a date"),
    (rf"{_WEEKDAY}{_MONTH} ?{_DAY}(?: ?(?:-|–|to|and) ?{_DAY})?(?:,? ?{_SHORT_YEAR})?{_NO_AMOUNT}", "a date"),
    (rf"{_WEEKDAY}(?<!'){_DAY}(?: of)? {_MONTH}(?:,? ?{_SHORT_YEAR})?{END}", "a date"),
    (rf"{_MONTH}(?:,? ?(?:of )?{_SHORT_YEAR}|-\d\d){END}", "a month"),
    (rf"\d{{1,2}}/{_YEAR}{END}", "a month"),
    (rf"Q[1-4]{_OF_YEAR}{_NO_AMOUNT}", "a quarter"),
    (rf"[1-4]Q ?(?:{_YEAR}|'?\d\d){_NO_AMOUNT}", "a quarter"),
    (rf"{_YEAR}[ -]?Q[1-4]{END}", "a quarter"),
    (
        rf"(?i:first|second|third|fourth|1st|2nd|3rd|4th)[ -](?i:(?:fiscal|calendar)[ -])?(?i:quarter)"
        rf"{_OF_YEAR}{_NO_AMOUNT}",
        "a quarter",
    ),
    (rf"H[12]{_OF_YEAR}{_NO_AMOUNT}", "a half-year"),
    (rf"[12]H ?(?:{_YEAR}|'?\d\d){_NO_AMOUNT}", "a half-year"),
    (rf"{_YEAR}[ -]?H[12]{END}", "a half-year"),
    (
        rf"(?:FY ?'?|(?i:fiscal|financial) (?i:year )?'?)(?:{_YEAR}|\d\d)(?:[-/]\d{{2,4}})?(?:[eE])?{_NO_AMOUNT}",
        "a year",
    ),
    (rf"(?:{_FULL_MONTH}|{_FULL_MONTH.upper()}|(?:Jan|Feb|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec)\.?){END}", "a month"),
    (
        r"(?i:(?<=in )|(?<=by )|(?<=of )|(?<=since )|(?<=until )|(?<=from )|(?<=last )|(?<=next )|(?<=this )"
        rf"|(?<=early )|(?<=late )|(?<=mid-)|(?<=through ))(?:March|MARCH|Mar\.|May|MAY){END}",
        "a month",
    ),
    (rf"(?<!Russell )(?:[Tt]he )?{_YEAR}(?:[-/–]{_YEAR}|[-/–]\d\d)?[eEs]?{_NO_AMOUNT}", "a year"),
)

_DATE_RULES = (
    *(rule("date", rf"(?<![$€£¥])(?<!\d[.,])(?<![$€£¥] ){START}{pattern}", phrase) for pattern, phrase in _DATES),
    rule("date", rf"(?<=[A-Za-z]{{2}}){_YEAR}{_NO_AMOUNT}", " a year"),
    rule("date", r"(?<!\d)'\d\ds?" + _NO_AMOUNT, "a year"),
)
_PERHAPS_A_DATE = re.compile(rf"\d|{START}{_MONTH}")


def _dates(text: str, replaced: Counter[str]) -> str:
    if _PERHAPS_A_DATE.search(text):  # most headlines have none, and need not go through all rules
        for rule in _DATE_RULES:
            text = rule(text, replaced)
    return text


RULES = (
    rule("ticker", rf"\({EXCHANGE} ?: ?[A-Z]{{1,6}}(?:\.[A-Z]{{1,2}})?\)", "another company"),
    rule("ticker", rf"{START}{EXCHANGE} ?: ?[A-Z]{{1,6}}(?:\.[A-Z]{{1,2}})?{END}", "another company"),
    rule("ticker", rf"{START}\$[A-Za-z]{{1,6}}(?:\.[A-Za-z])?{END}", "another company"),
    rule(
        "other",
        rf"{START}{_COMPANY_WORD}(?: (?:(?:&|and|of) )?{_COMPANY_WORD}){{0,3}},? {LEGAL_FORM}",
        "another company",
    ),
    rule("other", rf"{START}[A-Za-z][\w-]{{0,60}}\.com{END}", "another company"),
    rule("person", rf"{START}{_OFFICE},? {_SURNAME}{_BETWEEN}(?: {_SURNAME})?", "a manager"),
    rule("person", rf"{START}(?:Mr|Mrs|Ms)\.? {_SURNAME}{_BETWEEN}(?: {_SURNAME})?", "a manager"),
    rule("person", rf"{START}{_SURNAME}{_BETWEEN} {_SURNAME}, (?:(?:the|its|our) )?{_OFFICE}{END}", "a manager"),
    rule(
        "person",
        rf"{START}(?i:dr|prof|sen|rep|gov|president|senator|governor|secretary|judge|minister|chancellor"
        rf"|professor|sir|analyst)\.? {_SURNAME}{_BETWEEN}(?: {_SURNAME})?",
        "a person",
    ),
    _dates,
)

PHRASES = ("a date", "a month", "a quarter", "a half-year", "a year", "a manager", "a person", "another company")

_AGAIN = r"(the Company|another company)(?:,? \(\1\)| \1(?![\w']))+"  # "Acme Inc. (NYSE: ACM)" is one company

TIDY = (
    (re.compile(_AGAIN), r"\1"),
    (re.compile(r"\(\s*\)|\[\s*\]"), ""),
    (re.compile(r"\s+(?=[,.;:!?)\]](?:\s|$))"), ""),
    (re.compile(r"\s{2,}"), " "),
)
"""What replacing leaves behind: a name given twice, empty brackets, spaces."""
