"""The commands of the reading side, and the program's entry (``app``), which adds those of ``ingest.commands``."""
