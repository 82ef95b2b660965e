"""Who signed a report mail: DKIM (RFC 6376, RFC 8301) with the rules that RFC 8460 section 3 adds.

``signatures`` gives the verdict. It asks ``dkim_rules`` which signatures may speak at all, ``dkim_message`` for what they cover,
and ``dkim_keys`` for keys from DNS. "DNS is silent" is a third answer beside yes and no.
"""
