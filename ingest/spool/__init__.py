"""The Maildir between doors and worker: one file a message, and the only queue there is.

A door writes into ``tmp``, syncs, moves to ``new`` and only then says 250 or 201 (``maildir``, ``trace``). A worker claims by
renaming into ``cur`` (``claims``, ``slots``) and removes a file when the database has what it held. Any other program may
deliver into it.
"""
