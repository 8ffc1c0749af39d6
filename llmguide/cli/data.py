"""Commands that fetch data, and that look after what was paid for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from llmguide.cli.app import app
from llmguide.cli.options import CacheFile, Json, PricesFile
from llmguide.cli.outputs import writable
from llmguide.cli.reading import day, split_names
from llmguide.counting import counted
from llmguide.errors import DataError, did_you_mean
from llmguide.files import no_file

if TYPE_CHECKING:
    from llmguide.llm.cache import Cache


@app.command()
def bars(
    ticker: Annotated[str, typer.Argument(help="Yahoo Finance symbol, such as AAPL.")],
    start: Annotated[str | None, typer.Option(help="First day, such as 2012-01-01.")] = None,
    end: Annotated[str | None, typer.Option(help="Last day, inclusive.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="File to write (.parquet or .csv); TICKER.parquet by default.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Download daily bars from Yahoo Finance.

    Needs network access and yfinance: pip install 'llmguide[data]'.
    """
    from llmguide.console import out as screen
    from llmguide.console import print_json
    from llmguide.sources.yahoo import download, save_bars

    target = writable(out or Path(f"{ticker}.parquet"))
    frame = download(ticker, start=start, end=end)
    path = save_bars(frame, target)
    summary = {"path": str(path), "bars": len(frame), "first": day(frame, 0), "last": day(frame, -1)}
    if as_json:
        print_json(summary)
    else:
        screen.print(f"{len(frame)} bars from {summary['first']} to {summary['last']} in {path}", highlight=False)


TABLES = ("market", "macro", "fundamentals", "news")
SHARED = ("market", "macro")


@app.command()
def tables(
    symbol: Annotated[str, typer.Argument(help="Name of the instrument, such as AAPL.")],
    start: Annotated[str, typer.Option(help="First day, such as 2012-01-01.")],
    end: Annotated[str, typer.Option(help="Last day, inclusive.")],
    only: Annotated[str, typer.Option(help="Tables to download, separated by commas.")] = ",".join(TABLES),
    out: Annotated[
        Path, typer.Option(help="Folder to write: market and macro go directly into it, the rest into SYMBOL.")
    ] = Path("tables"),
    as_json: Json = False,
) -> None:
    """Download external tables for prompts.

    market: closes of S&P 500, NASDAQ 100 and VIX from Yahoo Finance. macro: first releases from FRED (FRED_API_KEY).
    fundamentals: filings from SEC EDGAR (SEC_CONTACT, an e-mail address). news: headlines from Alpaca (APCA_API_KEY_ID,
    APCA_API_SECRET_KEY). Each row carries the time at which it became public. Needs network access and pip install
    'llmguide[data]'.
    """
    from collections.abc import Callable

    import pandas as pd

    from llmguide.bars import bound_period
    from llmguide.console import print_json
    from llmguide.files import write_parquet
    from llmguide.sources.alpaca import download_news
    from llmguide.sources.edgar import download_fundamentals
    from llmguide.sources.fred import download_macro
    from llmguide.sources.indices import download_market

    wanted = split_names(only) or []
    for kind in wanted:
        if kind not in TABLES:
            raise DataError(f"expected tables of {', '.join(TABLES)}, got {kind!r}{did_you_mean(kind, TABLES)}")
    since = bound_period("start", start).start_time
    if bound_period("end", end).end_time < since:
        raise DataError(f"expected --end on or after --start, got {start} to {end}; swap them")
    # Growth over a year needs the periods of the year before.
    earlier = since - pd.DateOffset(months=15)
    download: dict[str, Callable[[], pd.DataFrame]] = {
        "market": lambda: download_market(start=start, end=end),
        "macro": lambda: download_macro(start=earlier, end=end),
        "fundamentals": lambda: download_fundamentals(symbol),
        "news": lambda: download_news(symbol, start=start, end=end),
    }
    writable(out, folder=True)
    written = []
    for kind in wanted:
        frame = download[kind]()
        path = write_parquet(frame, (out if kind in SHARED else out / symbol) / f"{kind}.parquet")
        written.append({"table": kind, "rows": len(frame), "path": str(path)})
        if not as_json:
            typer.echo(f"{kind}: {len(frame)} rows in {path}")
    if as_json:
        print_json(written)


cache = typer.Typer(help="Manage the cache of answers from language models.", no_args_is_help=True)
app.add_typer(cache, name="cache")


@cache.command()
def export(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="JSON Lines file to write.")],
    study: Annotated[
        str | None, typer.Option(help="Only the answers that this study uses; see `llmguide cache costs`.")
    ] = None,
    cache: CacheFile = Path("llm.sqlite"),
    as_json: Json = False,
) -> None:
    """Export all requests and answers as JSON Lines, to share.

    Anyone who imports them can replay the study offline at no cost. They contain the prompts, but no API key.
    """
    from llmguide.console import print_json

    with _existing(cache) as found:
        count = found.export_jsonl(writable(file), study)
    if as_json:
        print_json({"path": str(file), "answers": count})
    else:
        typer.echo(f"{counted(count, 'answer')} in {file}")


@cache.command("import")
def import_(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="JSON Lines file, as written by `llmguide cache export`.")
    ],
    cache: CacheFile = Path("llm.sqlite"),
    as_json: Json = False,
) -> None:
    """Import requests and answers that were exported elsewhere: all of them, or none."""
    from llmguide.console import print_json
    from llmguide.llm.cache import Cache

    if not file.is_file():
        raise DataError(f"{no_file(file)}; `llmguide cache export` writes one")
    with Cache(cache) as answers:
        found = answers.import_jsonl(file)
    if as_json:
        print_json({"cache": str(cache), **found._asdict()})
    else:
        typer.echo(f"{counted(found.added, 'answer')} added to {cache}, {found.present} already there")


@cache.command()
def costs(
    cache: CacheFile = Path("llm.sqlite"),
    prices: PricesFile = None,
    as_json: Json = False,
) -> None:
    """Print what each study in the cache has cost, by instrument and prompt."""
    from llmguide.cli.asking import print_costs
    from llmguide.console import print_json, records
    from llmguide.llm.ledger import Ledger
    from llmguide.llm.prices import Prices

    table = Prices.read(prices)
    with _existing(cache) as answers:
        ledger = Ledger(answers)
        found = {study: ledger.summary(table, study) for study in sorted(set(ledger.frame()["study"]))}
    if as_json:
        print_json({study: records(frame) for study, frame in found.items()})
        return
    if not found:
        typer.echo(f"{cache} holds no study: nothing has been asked yet")
    for study, frame in found.items():
        typer.echo(f"\nstudy {study or '(unnamed)'}")
        print_costs(frame)


def _existing(path: Path) -> Cache:
    from llmguide.llm.cache import Cache

    if not path.is_file():
        raise DataError(f"there is no cache {path}; give its path with --cache")
    return Cache(path)
