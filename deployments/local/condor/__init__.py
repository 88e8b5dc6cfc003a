"""A private HTCondor pool on loopback: what tests, trials and the demo have their jobs run by."""
