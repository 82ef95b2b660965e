"""Exports, streamed: ``schema`` names the columns, ``reading`` gives rows, ``formats`` writes them, ``writing`` a whole file."""
