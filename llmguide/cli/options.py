"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print JSON on standard output instead of tables.")]
Seeds = Annotated[str, typer.Option(help="Number of seeds (0, 1, ...), or a list of seeds such as 0,3,7.")]
Episodes = Annotated[int, typer.Option(min=1, help="Training episodes per seed; one is a pass over the training bars.")]
Out = Annotated[Path, typer.Option(help="Run folder. The same command resumes an interrupted run from it.")]
Resume = Annotated[
    bool,
    typer.Option("--resume/--no-resume", help="Resume from the run folder, or delete its contents and start over."),
]
Device = Annotated[str, typer.Option(help="Device to train on: cpu, cuda or auto.")]
Ray = Annotated[str | None, typer.Option("--ray", help="Train on a Ray cluster: HOST:PORT, or auto.")]
Cash = Annotated[float, typer.Option(help="Initial capital.")]
Cost = Annotated[float, typer.Option(help="Transaction cost as a fraction of the traded value; 0.001 is 0.1 %.")]

# Levers of training (docs/levers.md).
Tau = Annotated[
    str,
    typer.Option(
        "--tau",
        metavar="published|constant|jittered",
        help="What the agent observes of the guidance: direction and strength (published); the direction alone, in "
        "training and in use (constant); or strengths redrawn at random in training for every episode and "
        "month (jittered).",
    ),
]
RawBars = Annotated[
    bool,
    typer.Option("--raw-bars", help="Observe and trade raw bars, without smoothing, in training and in use."),
]
RawPrices = Annotated[
    bool,
    typer.Option("--raw-prices", help="Trade at raw closes in training, as in use; observations stay smoothed."),
]
Agreement = Annotated[
    float,
    typer.Option(
        min=0.0,
        help="Reward shaping: bonus added in training to the reward of a position that agrees with the guidance. A "
        "reward is the return of one bar, around 0.01 for daily bars.",
    ),
]
Discount = Annotated[float, typer.Option(min=0.0, max=1.0, help="Discount factor per bar.")]
Actions = Annotated[
    int, typer.Option(min=2, max=3, help="Number of actions: 2 (short and long) or 3 (short, long and flat).")
]

Holdout = Annotated[
    int | None,
    typer.Option(
        "--holdout",
        min=0,
        help="Training bars held out at the end, from which the mixture's agents do not learn; a year of bars by "
        "default.",
    ),
]
Controls = Annotated[
    bool,
    typer.Option(
        "--controls",
        help="Also trade the test bars on shuffled, inverted, constant, rule-based and oracle guidance, without "
        "retraining, and test whether the guidance is worth more than its shuffled self.",
    ),
]
Shuffles = Annotated[
    int | None,
    typer.Option(
        "--shuffles",
        min=19,
        help="Number of shuffles for --controls; 199 by default, which allows p values down to 0.005.",
    ),
]
GuidanceFile = Annotated[
    Path | None, typer.Option("--guidance", help="Guidance table (.parquet or .csv), as written by `llmguide guide`.")
]
Periods = Annotated[
    float | None,
    typer.Option(
        "--periods",
        help="Bars per year, used to annualise Sharpe ratios; inferred from the dates by default (252 trading "
        "days, 365 days for a market that never closes, 52 weeks, 12 months, ...).",
    ),
]
# How bars are read (`llmguide.cli.reading.Reading`).
Zone = Annotated[
    str | None,
    typer.Option(
        "--tz", metavar="ZONE", help="Time zone of the exchange, such as Asia/Tokyo, if the timestamps are in another."
    ),
]
Adjust = Annotated[
    bool,
    typer.Option("--adjust", help="Put all four prices on one adjusted scale, even where only closes are adjusted."),
]
StrictBars = Annotated[
    bool,
    typer.Option("--strict", help="Refuse bars with suspicious prices, moves or gaps, instead of printing a note."),
]
FromDay = Annotated[
    str | None,
    typer.Option("--from", metavar="DATE", help="First day of BARS to use; the first bar by default."),
]
ToDay = Annotated[
    str | None, typer.Option("--to", metavar="DATE", help="Last day of BARS to use; the last bar by default.")
]
FirstTestDay = Annotated[
    str | None,
    typer.Option("--split", metavar="DATE", help="First test day, if BARS holds both training and test bars."),
]
AnyBars = Annotated[bool, typer.Option("--any-bars", help="Allow a guidance table that was made from other bars.")]
PROVIDERS = "rules, oracle, shuffled, inverted or constant"
TrainedOn = Annotated[
    str | None,
    typer.Option(
        "--base",
        metavar="MODEL",
        help="Language model that the policy (of FlagTrader or an expert) was trained on: a GGUF file, a folder or "
        "a name on the Hugging Face hub. Not needed if the checkpoint names a model on the hub.",
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
        help="Expert of the mixture; repeat for each: hold, rules, a guidance table, the checkpoint of an agent or "
        "a policy (FILE.safetensors,guidance=FILE if trained with guidance), ma:SHORT,LONG or "
        "reversion:SHORT,LONG. Append ,since=DATE for the first bar that it was not made from, and "
        ",m0=0.02,n0=252 for its prior.",
    ),
]
History = Annotated[
    Path | None,
    typer.Option("--history", metavar="BARS", help="Earlier bars, on which the experts' records begin."),
]

# How a language model is trained to trade (FLAG-Trader).
BaseModel = Annotated[
    str | None,
    typer.Option(
        "--base",
        metavar="MODEL",
        help="Language model to train: a GGUF file, a folder, a name on the Hugging Face hub, or tiny (random "
        "weights).",
    ),
]
Frozen = Annotated[
    int | None,
    typer.Option("--frozen", help="Number of its layers to freeze, counted from the first; two thirds by default."),
]
LoraRank = Annotated[
    int,
    typer.Option(
        "--lora-rank", metavar="RANK", help="Train a LoRA adapter of this rank instead of the layers' weights."
    ),
]
Steps = Annotated[
    int | None, typer.Option(min=1, help="Transitions per training run; the published 13,860 by default.")
]
StateTemplateName = Annotated[
    str,
    typer.Option(
        "--template", help="Template that turns a state into text: flag, brief, multimodal, or a template file."
    ),
]
RuleBook = Annotated[
    str,
    typer.Option("--rules", metavar="house|paper", help="Account rules: house costs 0.1 % per trade, paper nothing."),
]
FactorsFile = Annotated[
    Path | None,
    typer.Option("--factors", help="News factors (.parquet or .csv), as written by `llmguide guide --factors`."),
]
Algorithm = Annotated[
    str, typer.Option("--algorithm", metavar="ppo|reinforce", help="Algorithm that trains the language model.")
]

# How a language model is asked (`llmguide.cli.groups.Endpoint` and `Limits` hold most of these).
Model = Annotated[str, typer.Option(help="Name of the language model at its endpoint.")]
CacheFile = Annotated[
    Path,
    typer.Option(
        "--cache",
        help="SQLite cache of all answers. A cached question is never asked again; if several processes on one "
        "machine need the same answer, one asks and the others wait.",
    ),
]
BaseUrl = Annotated[
    str | None,
    typer.Option(
        "--base-url", help="URL of an OpenAI-compatible endpoint; OPENAI_BASE_URL, or else OpenAI, by default."
    ),
]
ModelFile = Annotated[
    Path | None,
    typer.Option("--model-file", help="Model in GGUF format, served on this machine: needs 'llmguide[local]'."),
]
TablesFolder = Annotated[
    Path | None, typer.Option("--tables", help="Folder of external tables, as written by `llmguide tables`.")
]
NamesFile = Annotated[
    Path | None,
    typer.Option(
        "--names", help="Names that the model must not see (.csv or .toml); TABLES/SYMBOL/names.csv by default."
    ),
]
SettingsFile = Annotated[
    Path | None,
    typer.Option("--settings", help="TOML file: sampling, memory, objective, risk profile, levels, schedule."),
]
Levels = Annotated[
    str | None,
    typer.Option(
        "--levels",
        help="How prompts state prices, indices and volumes: relative to the days shown, so that they do not give "
        "the date away (default), or absolute.",
    ),
]
Debias = Annotated[
    bool,
    typer.Option(
        "--debias",
        help="Remove label and order bias from each direction, by asking four more questions under neutral labels.",
    ),
]
Samples = Annotated[
    int | None,
    typer.Option(
        "--samples", metavar="N", min=2, help="Take the majority direction of N more answers at temperature 0.7."
    ),
]
Budget = Annotated[
    float | None,
    typer.Option(
        min=0.0,
        help="Maximum cost of this study in dollars, including earlier runs and requests in flight in other processes.",
    ),
]
Batch = Annotated[
    bool,
    typer.Option(
        "--batch",
        help="Use OpenAI's Batch API: half the price, up to 24 hours. For prompts without memory (P0, P1). Ctrl-C "
        "leaves the batch running; the same command fetches its answers.",
    ),
]
PricesFile = Annotated[Path | None, typer.Option("--prices", help="TOML file with the prices of models.")]
InFlight = Annotated[
    int, typer.Option(min=1, help="Maximum number of concurrent requests; reduced while the endpoint is busy.")
]
Strict = Annotated[
    bool,
    typer.Option(
        "--strict",
        help="Stop at an unusable answer instead of abstaining, and refuse suspicious bars.",
    ),
]
Calibrate = Annotated[
    str | None,
    typer.Option(
        "--calibrate",
        metavar="isotonic|platt",
        help="Calibrate the probability of each direction on the months whose outcome was known by then; asks nothing.",
    ),
]
PlanOnly = Annotated[
    bool, typer.Option("--plan", help="Print the calls, tokens and dollars still needed, and ask nothing.")
]
Replay = Annotated[bool, typer.Option("--replay", help="Answer from the cache only; nothing is sent.")]
DataFolder = Annotated[
    Path, typer.Option("--data", help="Folder of bars: SYMBOL.csv, or SYMBOL_FIRST_LAST.csv twice (training, test).")
]
Symbols = Annotated[str | None, typer.Option(help="Instruments, separated by commas; all by default.")]
Split = Annotated[str, typer.Option(help="First test day of instruments with a single file.")]
Cutoff = Annotated[
    str | None,
    typer.Option(metavar="DATE", help="Knowledge cut-off of the model, such as 2024-06-30; unknown by default."),
]

# What the audits of a model ask about (`llmguide.cli.groups.Instruments`).
BarFiles = Annotated[
    list[Path] | None,
    typer.Argument(metavar="[BARS...]", help="Files of bars, oldest first: training, then test."),
]
InsteadOfFiles = Annotated[
    Path | None, typer.Option("--data", help="Folder of bars of several instruments, instead of BARS.")
]
Symbol = Annotated[str | None, typer.Option(help="Name of the instrument; by default the file name up to the first _.")]
TablesOf = Annotated[
    str | None,
    typer.Option(
        "--symbol", help="Folder of the instrument in --tables; by default the name of the bars file up to the first _."
    ),
]
AllMonths = Annotated[bool, typer.Option("--all-months", help="With --data, ask about the training months too.")]
Audited = Annotated[str, typer.Option(help="Prompt to audit: P0 to P4, or a template file, without news and memory.")]
