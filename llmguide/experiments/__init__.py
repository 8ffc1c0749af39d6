"""Whole studies: many arms, many seeds, one run folder. Each has a folder of its own; what they share stands here.

compare, replicate, prompts   the studies; in each, run is the door, result what was found, write what is kept of it
placebo                       a comparison's arms again with other guidance: is it worth more than its shuffled self?
memory, bias                  audits of a language model: what it remembers, what it leans to
arms, plan, markets           what goes in: what is compared, the settings, a folder of instruments
published                     the published numbers that results are held against
learners                      what is trained for an arm: the double-DQN, the language model as the policy
train_grid, run_folder        all of them trained, and what is kept of them
measure, usage, outcomes      one run as one row, how it used its guidance, what became of each month
paired                        tables of paired tests
shares                        a share of months with its intervals

A result is data: it does not know how it is written or measured again.
"""
