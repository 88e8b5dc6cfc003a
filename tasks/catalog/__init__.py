"""The environment's own database: what was run, with which stages and steps, and what was made."""
