"""``starttally load``: files, folders, archives, mbox and Maildir, into the same store and by the same intake as mail.

``mailbox`` finds one message at a time, ``recognition`` tells what is none of ours, ``outcomes`` what becomes of each, and
``loader`` writes them.
"""
