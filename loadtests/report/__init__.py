"""What people read of a benchmark: the report of one run, and the comparison of two.

findings -> blocks (sections, tables, charts) -> html, markdown, terminal; pictures and drawing make the SVG.
"""
