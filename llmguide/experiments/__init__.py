"""Whole studies: many arms, many seeds, one run folder."""
