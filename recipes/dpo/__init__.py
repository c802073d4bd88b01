"""Training on preferences: direct preference optimization and its relatives."""
