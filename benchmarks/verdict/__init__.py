"""Is the verdict right? Worlds with known truth through the real rows, beside three rivals on the same worlds.

``lives`` invents a domain and what happens to it (``worlds``: what it is made of), ``reports`` lets its senders write
(``documents``) and ``visitors`` those who lie, ``truth`` says what enforce would really refuse, ``run`` stores and judges,
``cut`` makes the evidence of each day, ``rules`` are the rivals, ``figures`` counts, ``picture`` draws.
"""
