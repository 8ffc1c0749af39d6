from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmguide.errors import GuidanceError
from llmguide.guidance.news.anonymise import KINDS, Name, Names, plain

NAMES = Names(
    (
        Name("Apple", "company"),
        Name("Apple Music", "product"),
        Name("iPhone", "product"),
        Name("Tim Cook", "person"),
        Name("AAPL", "ticker"),
        Name("Nestlé", "other"),
        Name("Ma Bell", "company", "the former monopoly"),
    )
)
SHORT = Names((Name("T", "ticker"), Name("BA", "ticker"), Name("ALL", "ticker"), Name("GE", "company")))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Apple rises", "the Company rises"),
        ("APPLE RISES, apple falls", "the Company RISES, the Company falls"),
        ("Apple's results", "the Company's results"),
        ("Apple’s results", "the Company's results"),
        ("Apple Inc. beats", "the Company beats"),
        ("Apple, Inc., beats", "the Company, beats"),
        ("Apple Inc. (NASDAQ: AAPL) beats", "the Company beats"),
        ("An Apple spokesman and the Apple store", "the Company spokesman and the Company store"),
        ("Apple Music grows", "a product of the Company grows"),
        ("Apple-made iPhone sells", "the Company-made a product of the Company sells"),
        ("Tim Cook sells shares", "a manager of the Company sells shares"),
        ("Tim  \tCook\nsells", "a manager of the Company sells"),
        ("Ap\u200bple, A\u00adpple and Ａｐｐｌｅ", "the Company, the Company and the Company"),
        ("Tim @tim_cook Cook sells", "a manager of the Company sells"),
        ("#Apple apple_news", "the Company the Company_news"),
        ("Nestlé S.A. and NESTLE", "another company and another company"),
        ("Ma Bell returns", "the former monopoly returns"),
        ("Pineapple Express, Applebee, iPhones", "Pineapple Express, Applebee, iPhones"),
    ],
)
def test_a_name_of_the_table_is_replaced_as_a_whole_word_in_any_form(text, expected):
    assert NAMES.text(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$T and #T and (T) and NYSE: T and (NYSE:T)", "the Company and " * 4 + "the Company"),
        ("$t up", "the Company up"),
        ("AT&T, A to T, T. Rowe", "AT&T, A to T, T. Rowe"),
        ("BA shares fall; a BA degree; ba", "the Company shares fall; a BA degree; ba"),
        ("ALL beats; all fall; All fall", "the Company beats; all fall; All fall"),
        ("ALL.N up", "the Company up"),
        ("GE up, ge up, Ge up", "the Company up, ge up, Ge up"),
    ],
)
def test_a_short_ticker_does_not_eat_ordinary_words(text, expected):
    assert SHORT.text(text) == expected


DATES = {
    "2018-02-01": "a date",
    "2018/02/01": "a date",
    "2018-02-01T16:30:00Z": "a date",
    "20180201": "a date",
    "02/01/2018": "a date",
    "2/1/18": "a date",
    "01.02.2018": "a date",
    "01-Feb-2018": "a date",
    "Feb. 1, 2018": "a date",
    "Feb 1st": "a date",
    "Thursday, Feb. 1": "a date",
    "February 1-3, 2018": "a date",
    "1 February 2018": "a date",
    "1st of February": "a date",
    "May 5": "a date",
    "February 2018": "a month",
    "Feb '18": "a month",
    "Feb-18": "a month",
    "February": "a month",
    "02/2018": "a month",
    "Q1 2018": "a quarter",
    "Q1'18": "a quarter",
    "Q1 FY18": "a quarter",
    "1Q18": "a quarter",
    "2018Q4": "a quarter",
    "first quarter of 2018": "a quarter",
    "third-quarter 2018": "a quarter",
    "H1 2018": "a half-year",
    "2H18": "a half-year",
    "FY2018": "a year",
    "FY18": "a year",
    "fiscal 2018": "a year",
    "fiscal year 2018": "a year",
    "2018": "a year",
    "the 2010s": "a year",
    "2018-19": "a year",
    "2018E": "a year",
    "'18": "a year",
    "’18": "a year",
}


@pytest.mark.parametrize(("date", "expected"), DATES.items())
def test_a_date_in_any_usual_form_is_replaced(date, expected):
    found = Names().anonymise(f"Sales on {date} were strong")
    assert found.text == f"Sales on {expected} were strong"
    assert found.replaced == {"date": 1}


@pytest.mark.parametrize(
    "text",
    [
        "2,018 shares at $2018.50 and $2018",
        "the euro at 1.2018 and 1,2018",
        "revenue of 2018 million, up 20.18% or 2018 points",
        "prices may 20% fall, Stocks May 20% Fall, protesters march, may rise",
        "SMA 20/50/200 at 187.2, RSI 14, a 5/10/20-day mean, a 3/4 majority",
        "technical.sma_20 (LONG, 2), stock.close (SHORT, 1)",
        "EPS of $1.20 against $1.10, Q1 results, 401(k), 5'10, 9/11",
        "the Company, another company, a manager, a date",
    ],
)
def test_amounts_and_ordinary_words_stay(text):
    assert Names().anonymise(text) == (text, {})


@pytest.mark.parametrize(
    ("text", "expected", "kind"),
    [
        ("CEO Tim Cook says so", "a manager says so", "person"),
        ("Chief Executive Officer John F. O'Brien quits", "a manager quits", "person"),
        ("CEO Tim Cook Says So", "a manager Says So", "person"),
        ("Mr. Cook’s plan", "a manager's plan", "person"),
        ("Jane Doe, CEO of the firm", "a manager of the firm", "person"),
        ("analyst Gene Munster agrees", "a person agrees", "person"),
        ("Acme Corp falls", "another company falls", "other"),
        ("it buys Foo & Bar Inc.", "it buys another company", "other"),
        ("Amazon.com rises", "another company rises", "other"),
        ("rival (NYSE: XYZ) rises", "rival another company rises", "ticker"),
        ("NYSE:BRK.B rises", "another company rises", "ticker"),
        ("$XYZ rises", "another company rises", "ticker"),
        ("see https://www.apple.com/x?y=2018 now", "see now", "link"),
        ("write to tim.cook@apple.com now", "write to now", "link"),
        ("by @tim_cook, now", "by, now", "link"),
    ],
)
def test_what_has_a_form_of_its_own_needs_no_table(text, expected, kind):
    assert Names().anonymise(text) == (expected, {kind: 1})


@pytest.mark.parametrize("text", ["CEO Says Profit Rises", "CEO Steps Down", "Director Resigns", "The Company Says So"])
def test_a_headline_in_title_case_is_not_taken_for_a_person(text):
    assert Names().text(text) == text


def test_replacements_are_counted_by_kind():
    found = NAMES.anonymise("Apple and Tim Cook: iPhone sales of AAPL on Feb. 1, 2018 and in 2017, says @cook")
    assert found.replaced == {"company": 1, "person": 1, "product": 1, "ticker": 1, "date": 2, "link": 1}


WORDS = [
    "shares",
    "rise",
    "Says",
    "CEO",
    "the",
    "a",
    "Inc.",
    "Corp",
    "may",
    "in",
    "of",
    "12%",
    "$5",
    "(",
    ")",
    ",",
    "'s",
]
SPELLED = [plain(entry.name) for entry in NAMES.entries]
TEXTS = st.lists(
    st.one_of(
        st.sampled_from([*WORDS, *SPELLED, "Apple’s", "APPLE", "aPPle", "$AAPL", "(AAPL)", "NASDAQ:AAPL"]),
        st.sampled_from(list(DATES)),
    ),
    max_size=12,
).map(" ".join)


@given(TEXTS)
def test_no_name_and_no_date_survives(text):
    found = NAMES.text(text)
    folded = found.casefold()
    for name in SPELLED:
        assert not re.search(rf"\b{re.escape(name.casefold())}\b", folded)
    date = r"\b(?:19|20)\d\d|\b\d+[/.-]\d+[/.-]\d+|'\d\d\b|\bFY|\bfeb|\b\dQ|\b[QH]\d[ ']?\d"
    assert not re.search(date, found, re.IGNORECASE)


@given(st.one_of(TEXTS, st.text(), st.text(alphabet="Aa1920-/.'$@(): QFyCEO\u200b’İß")))
def test_anonymising_twice_changes_nothing(text):
    once = NAMES.anonymise(text).text
    assert NAMES.anonymise(once) == (once, {})


@given(st.one_of(TEXTS, st.text()))
def test_a_text_grows_by_no_more_than_its_replacements(text):
    found = NAMES.anonymise(text)
    longest = max(map(len, [*KINDS.values(), "the former monopoly"]))
    assert len(found.text) <= len(plain(text)) + longest * found.replaced.total()


@pytest.mark.parametrize(
    "piece",
    [
        "A ",
        "Aa Bb ",
        "(",
        "1/",
        "2018-",
        "a.b@",
        "CEO ",
        "May ",
        "x",
        "$A",
        "A&A ",
        "'",
        "NYSE: ",
        "the ",
        "Apple, Inc., ",
    ],
)
def test_the_time_is_linear_in_the_text(piece):
    def seconds(length: int) -> float:
        text = piece * (length // len(piece))
        start = time.process_time()
        NAMES.text(text)
        return time.process_time() - start

    seconds(1_000)  # compiles the table's patterns
    # 16 times the text; a quadratic rule would need 256 times the time.
    assert seconds(32_000) < 64 * max(min(seconds(2_000) for _ in range(3)), 0.002)


def test_a_ticker_alone_makes_a_table():
    assert Names.of("AAPL").text("AAPL and Apple") == "the Company and Apple"


def test_a_symbol_is_added_once():
    names = Names((Name("Apple", "company"),)).including("AAPL")
    assert names.text("Apple (AAPL) up") == "the Company up"
    assert names.including("aapl") is names


TABLES = {
    "names.csv": "name,kind,replacement\nApple,company,\nSiri,product,an assistant\n",
    "names.toml": '[[names]]\nname = "Apple"\nkind = "company"\n'
    '[[names]]\nname = "Siri"\nkind = "product"\nreplacement = "an assistant"\n',
}


@pytest.mark.parametrize("file", TABLES)
def test_a_table_is_read_from_csv_and_toml_alike(tmp_path, file):
    (tmp_path / file).write_text(TABLES[file], encoding="utf-8")
    names = Names.read(tmp_path / file)
    assert names == Names((Name("Apple", "company"), Name("Siri", "product", "an assistant")))
    assert names.text("Apple updates Siri") == "the Company updates an assistant"


def test_a_table_without_replacements_is_read_with_its_byte_order_mark(tmp_path):
    (tmp_path / "names.csv").write_text("\ufeffname,kind\nApple,company\n", encoding="utf-8")
    assert Names.read(tmp_path / "names.csv").entries == (Name("Apple", "company"),)


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("names.csv", "name,knd\nApple,company\n", "unknown column 'knd'; did you mean 'kind'"),
        ("names.csv", "name\nApple\n", "expected the column 'kind' once, got it 0 times"),
        ("names.csv", "", "expected the column 'name' once, got it 0 times"),
        ("names.csv", "name,kind\nApple, Inc.,company\n", "line 2: expected 2 fields"),
        ("names.csv", "name,kind\nApple\n", "line 2: expected 2 fields"),
        ("names.csv", "name,kind\nApple,firm\n", "name 1 .'Apple'.: unknown kind 'firm'"),
        ("names.csv", "name,kind\nApple,compny\n", "did you mean 'company'"),
        ("names.csv", "name,kind\nApple,company\napple,product\n", "name 2 .'apple'. appears twice"),
        ("names.csv", "name,kind\n  ,company\n", "expected a name with at least one letter"),
        ("names.csv", "name,kind,replacement\nApple,company,the Apple firm\n", "would itself be replaced"),
        ("names.csv", "name,kind\nCompany,company\n", "'the Company' would itself be replaced"),
        ("names.csv", "name,kind\nthe Company,company\n", "'the Company' would itself be replaced"),
        ("names.toml", "names = 3\n", r"expected only tables \[\[names\]\]"),
        ("names.toml", "[[name]]\nname = 'Apple'\n", r"expected only tables \[\[names\]\], got name"),
        ("names.toml", "[[names]]\nname = 'Apple'\nkind = 3\n", "name 1, 'kind': expected a text, got 3"),
        ("names.toml", "[[names]\n", "cannot be read as TOML"),
        ("names.csv", b"name,kind\nAppl\xe9,company\n", "cannot be read as CSV in UTF-8"),
        ("names.txt", "Apple", "ending in .csv or .toml"),
    ],
)
def test_a_faulty_table_gets_one_error_that_says_where(tmp_path, file, text, message):
    (tmp_path / file).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(GuidanceError, match=message):
        Names.read(tmp_path / file)


def test_a_table_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(GuidanceError, match=r"there is no table of names at .*none\.csv"):
        Names.read(tmp_path / "none.csv")
