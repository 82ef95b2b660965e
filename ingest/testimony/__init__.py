"""Who says what about a domain, and what of it counts (docs/verdict.md). Pure.

A report is the word of a voice (``voices``), which may be a well-known one (``reporters``). Copies of one report are told apart
from contradictions (``folding``).
"""
