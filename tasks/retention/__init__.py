"""Clearing away what an environment does not need any more; never what is in use, or not delivered."""
