"""The operator's overrides as they act on evidence, and how much of it each covers."""
