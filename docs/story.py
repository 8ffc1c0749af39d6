# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Does guidance help? The whole story on one page
#
# Once a month a language model, or anything else that issues guidance, says LONG or SHORT and how sure it is. An agent
# that trades every day observes that as one more number. This notebook follows both from the bars to a verdict, and
# asks whether to believe it; read it for an overview of the library.
#
# Everything is generated here: a synthetic market, guidance by rules instead of a language model, small networks
# trained for a few episodes instead of fifty. It needs no data, key or network, and takes about half a minute. It
# shows how things are done, not what guidance is worth: these agents have learned next to nothing yet, and lose to
# holding.
#
# Open it as a notebook: `pip install jupytext notebook`, then `jupytext --to notebook docs/story.py`; `make docs`
# writes one with all outputs, `build/docs/story.ipynb`. Run as a script, `python docs/story.py`, it prints the same
# tables and writes the figures to `runs/story`.

# %%
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import display

import llmguide
from llmguide.rl.config import DQNConfig

OUT = Path("runs/story")
COLOURS = {"hybrid": "tab:blue", "rl": "tab:orange", "llm": "tab:green", "hold": "0.4", "sell": "0.75"}
plt.rcParams.update({"figure.figsize": (9, 3.6), "figure.constrained_layout.use": True, "axes.grid": True})
pd.set_option("display.width", 160, "display.max_columns", None)

# %% [markdown]
# ## A market, and guidance for it
#
# Six years: four to train on, and two test years that must not influence any choice. A row of guidance issued on a
# given day was made from the bars before that day, and is in force from that day's bar on. `tau`, between -1 and +1,
# is direction times strength.

# %%
market = llmguide.sample_bars(years=6, seed=4)
train, test = market.iloc[:1008], market.iloc[1008:]
guidance = llmguide.guide(market, "rules")
display(guidance)  # in a notebook as a table, in a script as text; a cell that ends in `guidance` does the same

# %%
figure, (price, line) = plt.subplots(2, 1, sharex=True, height_ratios=[3, 1], figsize=(9, 4.6))
price.plot(market["close"], color="0.3", linewidth=1)
price.axvspan(test.index[0], test.index[-1], color="0.93")
price.text(test.index[10], market["close"].min(), "test bars")
rows = guidance.frame
at = market["close"].reindex(rows["issued_at"])
for direction, marker, colour in ((1, "^", "tab:green"), (0, "v", "tab:red")):
    chosen = (rows["direction"] == direction).to_numpy(dtype=bool)
    price.scatter(at.index[chosen], at[chosen], marker=marker, color=colour, s=18, zorder=3)
price.set_title("Close, and what the guidance said")
line.step(market.index, guidance.tau(market.index), where="post", color="tab:blue")
line.set_ylabel("tau")
line.margins(x=0.01)

# %% [markdown]
# ## What a language model would be asked
#
# With a language model the table is made in the same way: `llmguide.guide(market, llmguide.LanguageModel(...))`. This
# previews the question for one month without sending it: it contains neither the instrument nor the date.

# %%
from llmguide.guidance.preview import preview  # noqa: E402
from llmguide.guidance.study import Study  # noqa: E402

model = llmguide.LanguageModel(prompt="P1", cache=OUT / "llm.sqlite", base_url="http://localhost:1", replay=True)
question = preview(Study((model.subject(market),), (model.prompt,), model.brief), model, day="2016-06-01")
print(question.requests[0]["messages"][-1]["content"][:900], "...")

# %% [markdown]
# ## Train with and without guidance, and compare
#
# `hybrid` observes the guidance, `rl` is the same agent without it, `llm` follows the guidance alone. Every arm trades
# the test bars in Backtrader. One seed says little about a method like this, so several are trained.

# %%
small = DQNConfig(hidden=64, learning_rate=1e-3)  # published: 512 and 1e-4, for 50 episodes
result = llmguide.compare(train, test, guidance, seeds=4, episodes=5, config=small)
display(result)

# %%
figure, (left, right) = plt.subplots(1, 2, width_ratios=[2, 1])
for arm in result.arms:
    values = pd.DataFrame({seed: run.values for (name, seed), run in result.results.items() if name == arm})
    left.plot(values.mean(axis=1), color=COLOURS[arm], label=arm, linewidth=1.2)
    if values.shape[1] > 1:
        left.fill_between(values.index, values.min(axis=1), values.max(axis=1), color=COLOURS[arm], alpha=0.15)
    of_arm = result.runs[result.runs["arm"] == arm]
    right.scatter(of_arm["mdd"], of_arm["sr"], color=COLOURS[arm], label=arm, s=22)
left.set_title("Value on the test bars: mean and range over seeds")
left.legend()
right.set(title="Every seed", xlabel="maximum drawdown", ylabel="Sharpe ratio")
left.tick_params(axis="x", rotation=30)

# %%
figure, axes = plt.subplots()
curves = result.curves
for arm in ("hybrid", "rl"):
    by_episode = curves[curves["arm"] == arm].groupby("episode")["train_sr"]
    axes.plot(by_episode.mean(), color=COLOURS[arm], marker="o", label=arm)
    axes.fill_between(by_episode.mean().index, by_episode.min(), by_episode.max(), color=COLOURS[arm], alpha=0.15)
axes.set(title="Sharpe ratio on the training bars: mean and range over seeds", xlabel="episode")
axes.legend()
axes.xaxis.get_major_locator().set_params(integer=True)

# %% [markdown]
# ## How certain is the result?
#
# There are two separate questions. Would other seeds give the same result? The paired tests answer that: the hybrid
# minus each other arm, over seeds.

# %%
display(result.tests.round(3))

# %% [markdown]
# Would another period of this market? The 95 % intervals answer that: they resample the test bars in blocks. The lower
# rows are differences.

# %%
display(result.intervals.round(2))

# %% [markdown]
# ## Does the agent use its guidance?
#
# An agent may earn more and still ignore its guidance. So the guidance is inverted, or its months are permuted: how
# many decisions change? A control adds guidance that knows the future. An agent that uses guidance must gain from it,
# although nobody could have earned that gain.

# %%
oracle = llmguide.guide(market, "oracle")
control = llmguide.compare(train, test, oracle, arms=("hybrid",), seeds=4, episodes=5, config=small)
usage = pd.concat({"rules": result.usage.loc["hybrid"], "oracle": control.usage.loc["hybrid"]}, axis=1).T
usage["test Sharpe"] = [result.table.loc["hybrid", "sr_mean"], control.table.loc["hybrid", "sr_mean"]]
display(usage.round(2))

# %% [markdown]
# ## Many settings at once, and the luck in the best of them
#
# Moving averages are the classical rule to beat. All pairs of windows are evaluated on the training bars; the best one
# is then tested on the test bars. The best of many always looks good. The probability of backtest overfitting says how
# likely the choice is to do worse than half of the others on later bars; the deflated Sharpe ratio says how likely the
# best one is to be more than the luck of so many trials.

# %%
found = llmguide.sweep(train, "trend", short=range(1, 60), long=range(2, 61), start=60)
display(found)

# %%
judged = found.validate(test)
display(judged)

# %%
figure, (left, right) = plt.subplots(1, 2, width_ratios=[1.3, 1])
grid = found.frame["sharpe"].droplevel(["cost", "delay", "stop_loss"]).unstack("short")
colours = left.pcolormesh(grid.columns, grid.index, grid.to_numpy(), cmap="RdYlGn")
figure.colorbar(colours, ax=left)
best = found.parameters()
left.plot(best["short"], best["long"], marker="o", color="black", fillstyle="none")
left.set(title="Sharpe ratio on the training bars", xlabel="short window", ylabel="long window")
right.scatter(found.frame["sharpe"], judged.test.frame["sharpe"], s=4, alpha=0.4)
right.axhline(0, color="0.3", linewidth=0.8)
right.set(title="... and on the test bars", xlabel="Sharpe ratio, training bars", ylabel="Sharpe ratio, test bars")
left.grid(False)

# %% [markdown]
# ## The chosen setting in Backtrader
#
# Any sweep result can be inspected in full: as a vectorbt portfolio, as a tearsheet, or rerun in Cerebro, where the
# account is the same to the cent.

# %%
cerebro = found.to_cerebro()
cerebro.run()
fast, in_cerebro = found.account()["value"].iloc[-1], cerebro.broker.getvalue()
print(f"final value by the sweep {fast:,.2f}, in Cerebro {in_cerebro:,.2f}")
assert np.isclose(fast, in_cerebro, rtol=0, atol=0.005)

# %% [markdown]
# ## Next: your own data
#
# - Bars: `llmguide.read_bars("AAPL.csv")`, or `llmguide bars AAPL` to download some.
# - Guidance from a language model: `llmguide guide train.csv test.csv --provider llm --plan` says what it would cost.
# - Seeds and episodes: 25 and 50, as published; `result.write("runs/mine")` writes all of this as a report.

# %%
for number in plt.get_fignums():  # none are left in a notebook, which has shown them
    OUT.mkdir(parents=True, exist_ok=True)
    plt.figure(number).savefig(OUT / f"figure-{number}.png", dpi=110)
plt.close("all")
