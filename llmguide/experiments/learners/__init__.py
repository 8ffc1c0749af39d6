"""What is trained for an arm, by kind.

learner   what the studies need of one
dqn       the double-DQN: all agents of all instruments as one pool of jobs
flag      the language model as the policy: one after the other, over one base
"""
