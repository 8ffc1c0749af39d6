"""Does the agent use its guidance? Perfect foresight, the same answers shuffled, and plain rules, with the same seeds.

    python examples/guidance_controls.py                                    # a quick look on the synthetic market
    python examples/guidance_controls.py TRAIN.csv TEST.csv --seeds 3 --episodes 50 --out runs/controls

The agents without guidance are trained once and shared. Figures under `oracle` use the future: they say what an agent
makes of guidance of known quality, not what anybody could have earned.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import pandas as pd

from llmguide import compare, guide, read_bars, sample_bars
from llmguide.rl.config import DQNConfig

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("bars", nargs="*", help="training and test bars; the synthetic market where they are left out")
parser.add_argument("--seeds", type=int, default=2)
parser.add_argument("--episodes", type=int, default=1)
parser.add_argument("--hidden", type=int, default=512, help="units of a hidden layer; fewer for a quick look")
parser.add_argument("--controls", nargs="+", default=["oracle", "shuffled", "rules"])
parser.add_argument("--out", type=Path, default=Path("runs/controls"))
options = parser.parse_args()

if options.bars:
    train, test = (read_bars(path) for path in options.bars)
else:
    market = sample_bars(years=4)
    train, test = market.iloc[:756], market.iloc[756:]
whole = pd.concat([train, test])  # the first test months may look back into the training bars
oracle = guide(whole, "oracle")
tables = {
    "oracle": oracle,
    "varying": guide(whole, "oracle", confidence="varying"),
    "shuffled": guide(whole, "shuffled", source=oracle, seed=1),
    "inverted": guide(whole, "inverted", source=oracle),
    "rules": guide(whole, "rules"),
}

rows, without_guidance = [], []
for name in options.controls:
    folder = options.out / name
    for agent in without_guidance:  # the rl arm does not see guidance, so its agents serve every table
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy2(agent, folder)
    result = compare(
        train,
        test,
        tables[name],
        seeds=options.seeds,
        episodes=options.episodes,
        config=DQNConfig(hidden=options.hidden),
        out=folder,
    )
    result.write(folder)
    without_guidance = sorted(folder.glob("rl-*.safetensors"))
    hybrid, alone = result.table.loc["hybrid"], result.table.loc["rl"]
    tested = result.tests.query("measure == 'sr' and arm_b == 'rl'").iloc[0]
    rows.append(
        {
            "guidance": name,
            "SR llm": result.table.loc["llm", "sr_mean"],
            "SR hybrid": hybrid.sr_mean,
            "(std)": hybrid.sr_std,
            "SR rl": alone.sr_mean,
            "(std) ": alone.sr_std,
            "p": tested.p,
            **result.usage.loc["hybrid"].to_dict(),
        }
    )
print(pd.DataFrame(rows).set_index("guidance").round(3).to_string())
