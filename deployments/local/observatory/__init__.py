"""A small observatory of our own: simulated execution blocks, really archived and really calibrated."""
