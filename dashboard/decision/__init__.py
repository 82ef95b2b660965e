"""May the policy go from testing to enforce? The verdict of docs/verdict.md, pure: from evidence alone, no database, no words.

``evidence`` is what comes in. ``facts`` says what each failed session proves; then ``sorting`` sorts, ``reckoning`` weighs within
the window, ``naming`` names. ``verdict`` is the whole; its reasons are codes with figures, put into words in ``dashboard.words``.
"""
