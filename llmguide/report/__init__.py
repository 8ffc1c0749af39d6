"""What a person reads: the quantstats tearsheet, the report of a comparison, the page of a study of prompts."""
