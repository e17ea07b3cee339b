"""Ageing of a library of recordings: tiers by age, proof before deletion, a trash, and cold storage.

Pure planners that explain every decision, and the code that executes a plan so that at every moment a complete,
verified copy of each recording exists.
"""
