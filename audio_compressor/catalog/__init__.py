"""The SQL table of uploads: which tracks wait, who works on which one, and how each ended.

The table `Uploads` belongs to the application that fills it; what only we need lies in a table of our own.
"""
