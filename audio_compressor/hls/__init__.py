"""HTTP Live Streaming of one track: cutting its encodes into a ladder, and judging a ladder by RFC 8216 and Apple's HLS
authoring specification.

`cut.py` makes a ladder with `plan.py`, `bandwidth.py` and `playlists.py`; `conforms.py` judges one with `tags.py`,
`probe.py` and `judge_*.py`. Neither side uses the other's code for what is judged.
"""
