"""CASA: launching it as a child, judging what it did, and the recipes that are done with casatasks.

CASA never runs inside a worker's process: importing casatools opens a listener on every interface,
and a crash of CASA must not be a crash of the worker. Only the modules in `recipes` import it.
"""
