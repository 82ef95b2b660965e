"""Everything that strangers feed, fuzzed (reliability.md row 18): ``make fuzz`` for hours, tests/system/test_fuzz.py for seconds."""
