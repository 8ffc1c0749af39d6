"""Whole studies: many arms, many seeds, one run folder.

Three doors   compare (arms on one instrument), replicate (the published benchmark on many),
              prompts (which one guides best)
What goes in  arms, plan (settings), markets (a folder of instruments), published (numbers to hold against)
On the way    train_grid (all agents as one pool), run_folder (what is kept), measure and grid (one run, one row), usage
              (how guidance is used)
What comes    comparison, paired (tables of tests), sensitivity and write; replication, fit and write_replication;
              prompt_study, outcomes, published_prompts and write_prompts; returns (for a tearsheet)
"""
