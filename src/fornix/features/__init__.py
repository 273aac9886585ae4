"""What models make of the stimuli, one module a kind of extractor."""
