"""People judge what a model said: the expert review of arXiv 2508.02366, section II-B3.

rubric      the three criteria and their words (Table II)
kept        what a run keeps of each month: question, answer, and what became of it
packet      the months that are to be reviewed, and their order
sheet       what one reviewer has answered, and what may be answered next
shown       what a reviewer may see: the only way from a packet to a page
judge       a language model asked the same rubric
exemplars   directions and reasons of reviewers, for tuning a prompt
stored      their files

`llmguide.report.review_page` is the page, `llmguide.review_server` serves it, `llmguide.experiments.review` reckons.
"""
