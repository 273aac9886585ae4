"""One module a stage: a section and paths in, one artifact out."""
