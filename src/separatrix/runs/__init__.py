"""Whole runs: a folder of stages, each stored once."""
