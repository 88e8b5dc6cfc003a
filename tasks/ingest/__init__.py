"""Archiving what runs delivered: each file once, written down, and announced when all of it is there."""
