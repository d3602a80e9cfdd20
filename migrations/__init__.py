"""The schema's history, run by the ``migrate`` function."""
