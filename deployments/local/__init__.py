"""The embedded environment: a small observatory, its archive and its metadata, all on this machine and all simulated."""
