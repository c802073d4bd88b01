"""Readers of files and data sets. Which file names are read by what: the table ``FORMATS`` in ``table.py``."""
