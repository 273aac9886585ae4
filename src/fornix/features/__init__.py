"""What models make of the stimuli, one module a kind of extractor.

A kind is a module of its own with one function::

    extract(section, stimuli, root, resources, notes) -> Iterator[dict[str, ndarray]]

It yields batches of consecutive stimuli, layer -> float32 (batch, feature), every layer in the
same pass, and appends what a reader should know to ``notes``. Three functions are optional:

``fingerprint(section)``
    Digest of what is read besides the stimuli, such as weights.
``contents(section, stimuli)``
    The part of the stimulus table that decides the numbers; by default identity and content.
``labels(section, stimuli)``
    Layer -> names of its features.
"""
