"""What a person reads: the quantstats tearsheet and the report page of a comparison."""
