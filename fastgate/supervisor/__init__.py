"""Processes and their lives: one parent that starts, watches, restarts and drains the children of a host.

Knows nothing of requests, money or configuration files; it is handed
:class:`~fastgate.supervisor.options.ServeOptions`.
"""
