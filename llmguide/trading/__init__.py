"""The trading benchmark: account rules, observation and environment. Knows neither agents nor Backtrader."""
