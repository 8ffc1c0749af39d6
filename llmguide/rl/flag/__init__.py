"""A language model as the policy (FLAG-Trader): trained by PPO on states told as text.

The door     training (`train_flag`), trained (a trained policy, also on disk), evaluation (how it does on bars),
             config (every constant)
Inside       protocol (what a policy is), lesson (what is trained on), run (one seed's loop), advantages and ppo (what
             is learned from a rollout), state (unfinished training on disk)
"""
