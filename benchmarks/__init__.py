"""Ratios against what a user would run instead, measured in the same run: ``make bench [ONLY=name]``."""
