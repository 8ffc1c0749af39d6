"""Whom would you have trusted? Guidance, holding and two moving averages, weighed by what each has earned so far.

    python examples/mixture_of_experts.py                                            # the synthetic market
    python examples/mixture_of_experts.py BARS.csv --guidance guidance.parquet       # your own
    python examples/mixture_of_experts.py BARS.csv --guidance guidance.parquet --model runs/aapl/rl-0.safetensors

Without files the guidance is a control that knows the future and is right as often as `--accuracy` says: the mixture
does not know how often, and finds out. The table shows the weights at the end of each year.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from llmguide import Guidance, guide, load_agent, mix, read_bars, sample_bars
from llmguide.mixture import MovingAverages

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bars", type=Path, nargs="?", help="bars; the synthetic market where they are left out")
    parser.add_argument("--guidance", type=Path, help="a table for them")
    parser.add_argument("--model", type=Path, help="an agent that was trained without guidance, on earlier bars")
    parser.add_argument("--accuracy", type=float, default=0.8, help="of the control (default 0.8)")
    given = parser.parse_args()

    bars = read_bars(given.bars) if given.bars else sample_bars(years=6)
    if given.guidance:
        guidance = Guidance.read(given.guidance)
    elif given.bars:
        guidance = guide(bars, "rules")
    else:
        guidance = guide(bars, "oracle", accuracy=given.accuracy)

    experts = {"guidance": guidance, "hold": "hold", "trend": MovingAverages(5, 20)}
    if given.model:
        experts["agent"] = load_agent(given.model)
    mixed = mix(bars, experts)

    print(mixed)
    table = mixed.weights.assign(position=mixed.positions).groupby(mixed.weights.index.year).last()
    print("\nWeights and position at the end of each year")
    print(table.rename_axis("year").round(2).to_string())
    print("\nMean result of each expert a day, in standard deviations of the market, after cost")
    print(mixed.results.mean().round(3).to_string())
