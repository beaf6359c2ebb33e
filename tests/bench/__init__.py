"""Measurements against a running provider, with Python alone: ``make bench``. Not tests; nothing here asserts."""
