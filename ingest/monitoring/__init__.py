"""What operators and their monitoring see: counters of each process, readiness, and troubles in words.

Each process publishes its numbers in the spool (``publishing``), so any HTTP door answers for all of them (``health``).
"""
