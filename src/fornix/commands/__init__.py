"""Commands about whole studies, one module each: ``add`` gives the parser its words.

Nothing here computes, and nothing is imported before a command is run.
"""
