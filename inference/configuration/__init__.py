"""Configuration as code: tenants and all that is theirs, read from a YAML file and written to one.

The way of a file: ``reading`` makes plain data of the text, ``document`` makes checked records of the data,
``references`` looks up the names that they mention, and ``applying`` makes the database equal to them.
``exporting`` goes the other way.
"""
