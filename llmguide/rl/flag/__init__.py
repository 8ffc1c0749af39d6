"""A language model as the policy (FLAG-Trader): trained by PPO on states told as text.

The door     training (`train_flag`), checkpoint (on disk), evaluation (how it does on bars), config (every constant)
Inside       protocol (what a policy is), lesson (what is trained on), rollout (collect), advantages, ppo (learn), run
             (one seed's loop), state (unfinished training on disk)
"""
