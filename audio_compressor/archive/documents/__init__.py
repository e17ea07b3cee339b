"""What a library writes about its recordings: the JSON beside each, and the master index.

`reading.py` parses them and says what is wrong with one, `finding.py` tells which document speaks of which recording,
`editing.py` and `index.py` change what they say when a recording is archived, and `writing.py` puts that into the
library, the only module here that writes there.
"""
