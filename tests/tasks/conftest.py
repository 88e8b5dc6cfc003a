"""Lets the tests below find the modules beside this one."""
