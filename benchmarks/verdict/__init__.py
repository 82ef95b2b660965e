"""Is the verdict right? Worlds with known truth through the real rows and queries, beside three simple rules of others.

``worlds`` invents a domain and its life, ``reports`` lets its senders write, ``truth`` says what enforce would really have
refused, ``run`` stores and judges, ``rules`` are the others, ``figures`` counts, ``picture`` draws.
"""
