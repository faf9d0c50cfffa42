"""Limits that several hosts share: slices leased from Redis, spent without asking it. See ``docs/scaling.md``.

``holder`` is one host's part: what it has, needs and gives back. ``store`` is Redis', in scripts: ``join.lua``,
``reported.lua``, ``first.lua`` and ``exchange.lua``; ``roll`` is for operators, with ``forget.lua``. What goes between
them is in ``messages``; how much is asked for in ``sizing``.
"""
