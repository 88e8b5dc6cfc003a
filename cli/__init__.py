"""The operator's commands: thin, one call each."""
