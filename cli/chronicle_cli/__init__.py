"""The command line: one console script, `chronicle`, that puts the packages together."""
