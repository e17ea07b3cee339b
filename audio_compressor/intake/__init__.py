"""What is waiting on the source: listing it, waiting until it has settled, and deciding what is outstanding.

`listing` talks to the server; everything else here is pure and returns its reasons.
"""
