"""Hosts that share budgets, simulated: real sizing, slips, holders and counters, in a time that is not real.

What is simulated is what lies between them: clocks, Redis (:mod:`benchmarks.leases.scripts`), the way there, requests.
"""
