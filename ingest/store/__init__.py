"""From Submissions to rows, and what happens to rows later.

``saving`` writes a batch in one transaction: ``rows`` says which rows, ``counting`` which copies count, ``rollups`` adds up.
``quarantine_bounds`` and ``retention`` say what gives way; ``upgrades`` and ``rekeying`` bring older databases along;
``overrides`` are what the operator knows.
"""
