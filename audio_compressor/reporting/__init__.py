"""What was done so far: results, table, totals, manifest, chart and Markdown.

Nothing here imports pandas or matplotlib when the package itself is imported; the code location starts without them.
"""
