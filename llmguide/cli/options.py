"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print JSON on standard output instead of tables.")]
Seeds = Annotated[str, typer.Option(help="How many runs (0, 1, ...), or which seeds, as in 0,3,7.")]
Episodes = Annotated[int, typer.Option(min=1, help="Walks through the training bars per run.")]
Out = Annotated[Path, typer.Option(help="Run folder; an interrupted run resumes from it.")]
Resume = Annotated[
    bool,
    typer.Option("--resume/--no-resume", help="Resume from the run folder, or remove what it holds and start over."),
]
Device = Annotated[str, typer.Option(help="cpu, cuda or auto.")]
Ray = Annotated[str | None, typer.Option("--ray", help="Train on a Ray cluster: its HOST:PORT, or auto.")]
Cash = Annotated[float, typer.Option(help="Capital at the beginning.")]
Cost = Annotated[float, typer.Option(help="Fraction of each traded value; 0.001 is 0.1 %.")]

# Levers of training (docs/levers.md).
Tau = Annotated[
    str,
    typer.Option(
        "--tau",
        metavar="published|constant|jittered",
        help="What is observed of the guidance: direction and strength (published); the direction alone, in training "
        "and in use (constant); or, in training, strengths drawn anew in every episode and month (jittered).",
    ),
]
RawBars = Annotated[
    bool,
    typer.Option("--raw-bars", help="Observe and trade bars as they are, in training and in use, without smoothing."),
]
RawPrices = Annotated[
    bool,
    typer.Option("--raw-prices", help="Trade at raw closes in training, as in use; what is observed stays smoothed."),
]
Agreement = Annotated[
    float,
    typer.Option(
        min=0.0,
        help="Reward shaping: added in training to the reward of a position on the side of the guidance. A reward is "
        "the return of a bar: of daily bars some 0.01.",
    ),
]
Discount = Annotated[float, typer.Option(min=0.0, max=1.0, help="Discount of the next bar's value.")]
Actions = Annotated[int, typer.Option(min=2, max=3, help="2: short and long; 3: short, long and flat.")]

Holdout = Annotated[
    int | None,
    typer.Option(
        "--holdout",
        min=0,
        help="Training bars at the end that the mixture's agents do not learn from; a year of bars by default.",
    ),
]
Controls = Annotated[
    bool,
    typer.Option(
        "--controls",
        help="Trade the test bars also by the guidance shuffled, inverted, constant, by rules and by an oracle, "
        "training nothing again, and test whether it is worth more than its shuffled self.",
    ),
]
Shuffles = Annotated[
    int | None, typer.Option("--shuffles", min=19, help="Shuffles of --controls; 199 by default, of which p is 0.005.")
]
GuidanceFile = Annotated[
    Path | None, typer.Option("--guidance", help="Guidance table (.parquet or .csv), as `llmguide guide` writes it.")
]
Periods = Annotated[
    float | None,
    typer.Option(
        "--periods",
        help="Bars per year, by which Sharpe ratios are annual; by default as the dates have it (252 trading days, 365 "
        "days of a market that never closes, 52 weeks, 12 months, ...).",
    ),
]
# How bars are read (`llmguide.cli.reading.Reading`).
Zone = Annotated[
    str | None,
    typer.Option("--tz", metavar="ZONE", help="The exchange's time zone, such as Asia/Tokyo, for stamps of another."),
]
Adjust = Annotated[
    bool, typer.Option("--adjust", help="Put open, high, low and close on one scale, where only closes are adjusted.")
]
StrictBars = Annotated[
    bool, typer.Option("--strict", help="Refuse bars in which prices, moves or gaps look wrong, instead of noting it.")
]
FromDay = Annotated[
    str | None,
    typer.Option("--from", metavar="DATE", help="First day to use of BARS; by default the first bar's."),
]
ToDay = Annotated[
    str | None, typer.Option("--to", metavar="DATE", help="Last day to use of BARS; by default the last bar's.")
]
FirstTestDay = Annotated[
    str | None,
    typer.Option("--split", metavar="DATE", help="First test day, where BARS hold training and test bars."),
]
AnyBars = Annotated[
    bool, typer.Option("--any-bars", help="Use a guidance table on other bars than those that it was made from.")
]
PROVIDERS = "rules, oracle, shuffled, inverted or constant"
TrainedOn = Annotated[
    str | None,
    typer.Option(
        "--base",
        metavar="MODEL",
        help="Language model that a policy was trained on, FlagTrader's or an expert's: a GGUF file, a folder, a name "
        "on the Hugging Face hub. One whose checkpoint names it on the hub is found without.",
    ),
]
STRATEGIES = (
    "LLMGuidedDQN",
    "DQN",
    "LLMOnly",
    "BuyAndHold",
    "SellAndHold",
    "TrendFollowing",
    "MeanReversion",
    "MixtureOfExperts",
    "FlagTrader",
)
ExpertWords = Annotated[
    list[str] | None,
    typer.Option(
        "--expert",
        metavar="NAME=EXPERT",
        help="An expert of the mixture, one --expert for each: hold, rules, a guidance table, the checkpoint of an "
        "agent or a policy (FILE.safetensors,guidance=FILE for one trained with guidance), ma:SHORT,LONG or "
        "reversion:SHORT,LONG. Behind it ,since=DATE, the first bar that it was not made from, and its prior, "
        ",m0=0.02,n0=252.",
    ),
]
History = Annotated[
    Path | None,
    typer.Option("--history", metavar="BARS", help="Bars before these, on which the mixture's records begin."),
]

# How a language model is trained to trade (FLAG-Trader).
BaseModel = Annotated[
    str | None,
    typer.Option(
        "--base",
        metavar="MODEL",
        help="Language model that is trained: a GGUF file, a folder, a name on the Hugging Face hub, or tiny (random).",
    ),
]
Frozen = Annotated[
    int | None,
    typer.Option("--frozen", help="Layers of it, from the first on, that stay as they are; two thirds by default."),
]
LoraRank = Annotated[
    int,
    typer.Option("--lora-rank", metavar="RANK", help="Train an adapter of this rank instead of the layers' weights."),
]
Steps = Annotated[
    int | None, typer.Option(min=1, help="Transitions of each of its trainings; the published 13,860 by default.")
]
StateTemplateName = Annotated[
    str, typer.Option("--template", help="How states are told: flag, brief, multimodal, or a template file.")
]
RuleBook = Annotated[
    str,
    typer.Option(
        "--rules", metavar="house|paper", help="The account's rules: house costs 0.1 % a trade, paper nothing."
    ),
]
FactorsFile = Annotated[
    Path | None,
    typer.Option(
        "--factors", help="Factors of the news (.parquet or .csv), as `llmguide guide --factors` writes them."
    ),
]
Algorithm = Annotated[str, typer.Option("--algorithm", metavar="ppo|reinforce", help="How the language model learns.")]

# How a language model is asked (`llmguide.cli.groups.Endpoint` and `Limits` hold most of these).
Model = Annotated[str, typer.Option(help="Language model, as its endpoint names it.")]
CacheFile = Annotated[
    Path,
    typer.Option(
        "--cache",
        help="SQLite file of all answers. What is in it is not asked again; of processes side by side on one machine, "
        "one asks and the others wait for its answer.",
    ),
]
BaseUrl = Annotated[
    str | None, typer.Option("--base-url", help="OpenAI-compatible endpoint; OPENAI_BASE_URL, or OpenAI, by default.")
]
ModelFile = Annotated[
    Path | None,
    typer.Option("--model-file", help="Model in GGUF format, served on this machine: needs 'llmguide[local]'."),
]
TablesFolder = Annotated[
    Path | None, typer.Option("--tables", help="Folder of external tables, as `llmguide tables` writes it.")
]
NamesFile = Annotated[
    Path | None,
    typer.Option("--names", help="What the model must not see (.csv or .toml); TABLES/SYMBOL/names.csv by default."),
]
SettingsFile = Annotated[
    Path | None,
    typer.Option("--settings", help="TOML file: sampling, memory, objective, risk profile, levels, schedule."),
]
Levels = Annotated[
    str | None,
    typer.Option(
        "--levels",
        help="How prompts tell prices, indices and volumes: relative to the days shown, so that they name no day "
        "(default), or absolute.",
    ),
]
Debias = Annotated[
    bool,
    typer.Option(
        "--debias",
        help="Take leanings to a word or an order out of each direction: four more questions, under neutral labels.",
    ),
]
Samples = Annotated[
    int | None,
    typer.Option(
        "--samples", metavar="N", min=2, help="Take the direction of most of N more answers at temperature 0.7."
    ),
]
Budget = Annotated[
    float | None,
    typer.Option(
        min=0.0,
        help="Dollars that this study may cost at most, earlier runs and what other processes have under way included.",
    ),
]
Batch = Annotated[
    bool,
    typer.Option(
        "--batch",
        help="Ask by OpenAI's Batch API: half the price, up to 24 hours. For prompts without memory (P0, P1). Ctrl-C "
        "leaves the batch running; the same command fetches its answers.",
    ),
]
PricesFile = Annotated[Path | None, typer.Option("--prices", help="TOML file with prices of models.")]
InFlight = Annotated[int, typer.Option(min=1, help="Most questions at once; fewer where the endpoint is too busy.")]
Strict = Annotated[
    bool,
    typer.Option(
        "--strict",
        help="Stop at an answer that cannot be used, instead of abstaining, and refuse bars that look wrong.",
    ),
]
Calibrate = Annotated[
    str | None,
    typer.Option(
        "--calibrate",
        metavar="isotonic|platt",
        help="Set the probability of each direction right by the months whose outcome was known before; asks nothing.",
    ),
]
PlanOnly = Annotated[
    bool, typer.Option("--plan", help="Print the calls, tokens and dollars that are still needed, and ask nothing.")
]
Replay = Annotated[bool, typer.Option("--replay", help="Answer from the cache only; nothing is sent.")]
DataFolder = Annotated[
    Path, typer.Option("--data", help="Folder of bars: SYMBOL.csv, or SYMBOL_FIRST_LAST.csv twice (training, test).")
]
Symbols = Annotated[str | None, typer.Option(help="Instruments, separated by commas; all by default.")]
Split = Annotated[str, typer.Option(help="First test day of instruments that have one file.")]
Cutoff = Annotated[
    str | None,
    typer.Option(metavar="DATE", help="Last day that the model can know of, as in 2024-06-30; unknown by default."),
]

# What the audits of a model ask about (`llmguide.cli.groups.Instruments`).
BarFiles = Annotated[
    list[Path] | None,
    typer.Argument(metavar="[BARS...]", help="Files of bars, oldest first: training, then test."),
]
InsteadOfFiles = Annotated[
    Path | None, typer.Option("--data", help="Folder of bars, for several instruments instead of BARS.")
]
Symbol = Annotated[str | None, typer.Option(help="The instrument; by default the file's name up to the first _.")]
TablesOf = Annotated[
    str | None,
    typer.Option("--symbol", help="Its folder in --tables; by default the name of the bars' file up to the first _."),
]
AllMonths = Annotated[bool, typer.Option("--all-months", help="With --data: ask about the training months too.")]
Audited = Annotated[
    str, typer.Option(help="Prompt whose data are shown: P0 to P4, or a template file, without news and memory.")
]
