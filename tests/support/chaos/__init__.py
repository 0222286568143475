"""The chaos bench: real processes under random faults, and a judge who believes nobody.

Several orchestrators and producers work on a Redis of the bench's own while a seeded random source kills,
stops and cuts them, and Redis too. Three accounts of what happened are kept apart: producers write what they
attempted and what was acknowledged (``ledger``), handlers write what was executed (``handlers``), both
outside Redis; and Redis holds what became of each job. At the end ``judge`` joins the three (RELIABILITY.md
3.1, 5).

    options → bench → stage, faults, producing, handlers      what happens
              bench → evidence → causes, judge, figures        what is made of it

``make chaos`` runs it by hand, tests/chaos in short.
"""
