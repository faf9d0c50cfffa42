"""What operators write: typed structs, YAML with line numbers, secrets.

``load`` reads a file into a ``Config`` or raises all its problems at once; ``discover`` makes one from the environment.
Knows no price and no process: what the settings mean together with the catalogue is checked in ``fastgate.control``.
"""
