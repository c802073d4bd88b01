"""Export of a registered version to files that other programs read, compared with the version before it is done."""
