"""The whole system under load: nginx, a bare Granian relay and fastgate over one constant upstream, in one run.

``make bench-system``, or ``python -m loadtest --help``. What is measured runs alone on one core; the load, the
upstream, and fastgate's own supervisor and control plane share another. Runs of all subjects take turns and medians are
reported, so that what else the machine does falls on all of them alike.
"""
