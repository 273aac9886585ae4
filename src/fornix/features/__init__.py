"""What models make of the stimuli, one module a kind of extractor.

A kind is a module of its own with one context manager (see :mod:`fornix.features.extractor`)::

    open_extractor(section, rows, context) -> Extractor

The stage gives the extractor blocks of rows and takes one array a layer for each. Everything
else is the stage's: what can be taken from earlier artifacts, resuming, writing, progress. These
are optional:

``table(section, stimuli, context) -> DataFrame``
    One line a row of the features; by default the stimulus table, one row a stimulus.
``fingerprint(section) -> str``
    Digest of what is read besides the stimuli, such as weights.
``labels(section, stimuli) -> dict``
    Layer -> names of its features.
``ROWWISE = False``
    A row depends on other rows too (categories of a column): nothing is taken from elsewhere.
"""
