"""The embedded environment: a small observatory with its archive, all on this machine, all simulated."""
