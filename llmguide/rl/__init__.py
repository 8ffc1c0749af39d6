"""The double-DQN agent: training in torch and numba, deciding in NumPy; in `flag`, a language model as the agent.

Knows neither Backtrader nor endpoints of language models.

To decide       agent (a trained agent), checkpoint (on disk), evaluation (how it does on bars), config (every constant)
To train        training (the doors), runs (jobs and events), parallel (all cores of a machine), cluster and connection
                (Ray), state (unfinished training on disk), progress (the bar)
One seed, one   solo (run loop), double_dqn (learner), experience (choose, trade, remember, draw), kernels, products and
core            adam (its passes over memory)
Many at once,   batched_runs (run loop), batched_dqn (learner), network, batched_account; slow twins of those above
any device
Beneath both    course (what is trained on), noise (all randomness)
Files           described (arrays with a description)
"""
