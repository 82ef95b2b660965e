"""The only SQL of the pages. Each function takes an Engine and what to look for, and returns a pandas DataFrame.

``fleet`` reads the rollups only; ``domain`` costs what that domain's rows cost; ``reports`` and ``quarantine`` page in SQL.
Every function takes a ``Scope``: nobody sees a domain that is not theirs. (The exports' SQL is in ``exports.reading``.)
"""
