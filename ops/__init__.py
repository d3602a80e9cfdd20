"""The `bmx` command line: one module a subject, `cli.py` has the commands."""
