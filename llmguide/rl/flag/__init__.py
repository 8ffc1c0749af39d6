"""A language model as the policy (FLAG-Trader, arXiv 2502.11433): trained by PPO on states rendered as text.

The doors       training (`train_flag`), trained (a trained policy, also on disk), evaluation (how it does on bars),
                config (every constant), policy (the network), base, tiny (the language model it is built on: read, or
                made with random weights), bases (which one is meant), controls (what a trained policy is held against),
                plan and trainer (all of it as one value, and what trains by it)
The policy      protocol (what training knows of it), layers, prefix (how it is fast), heads (logits and value),
                libraries (the door to transformers and peft, the extra ``flag``)
Learning        lesson (what is trained on), run (one seed's loop), advantages, ppo, state (unfinished training on disk)
Deciding        choosing (one state, one action)
"""
