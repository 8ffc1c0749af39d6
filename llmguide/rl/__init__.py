"""The double-DQN agent: training in torch, deciding in NumPy. Knows neither Backtrader nor language models."""
