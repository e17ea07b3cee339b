"""Random faults in real nights, for as long as it is told: ``make soak``, or ``python -m audio_compressor_tests.soak``.

Here is everything that the program needs: what the nights work on (sources, world), what goes wrong (faults), who looks
at the result (judge), and the rounds in which this is repeated. What it proves is tested in ``test_soak.py``.
"""
