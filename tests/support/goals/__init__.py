"""Measurements of single goals (RELIABILITY.md 5) that no test and no round of chaos takes: how long a
recovery takes, what a beat costs. ``make goals`` runs them and prints what it saw; docs/reliability.md lists
the figures. Tests judge behaviour, these judge times, so they want a machine with nothing else to do.

    __main__ → deaths, redis_faults, storms, failovers, clocks, endurance → site    real processes
               fencing → scripts                               script calls on a server of their own
"""
