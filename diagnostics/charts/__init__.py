"""One file per figure: ``prepare`` turns runs into plain arrays, ``draw`` turns those into a plotly Figure.

``gallery.FIGURES`` is the table of them all.
"""
