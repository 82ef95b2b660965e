"""What the operator decides: each setting with its default, its range and its meaning, read once at a process's start.

``settings`` has them all, frozen, and is passed as an argument from there on; ``values`` says how each kind is written;
``table`` prints them for ``starttally settings`` and docs/settings.md.
"""
