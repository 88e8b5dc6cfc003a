"""The restore of an observing unit set: what it needs, and whether that is there."""
