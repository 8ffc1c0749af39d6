"""Prompts that improve themselves on training bars: section II-B3 of arXiv 2508.02366v3.

| module | what it holds |
|---|---|
| training | training bars and test bars as values of two types, made by one cut |
| windows | the random years of the training bars on which a prompt is tried |
| exemplars | decisions known to be right, by hindsight and by people, and the files of the latter |
| replies | what the model is asked to return: a rationale, a rank, instructions, criticism |
| lessons | rationales in ten groups, features ranked: what the exemplars teach |
| draft | instructions and features, and the template that is made of them |
| writer_trainer, writer_judge | the questions of the three roles |
| study | what is to be tuned, and the walk through it |
| pedigree | what a template was made from, beside it |

Nothing here sees a test bar, nor what an account earned: who asks for a walk gives the function that says.
"""
