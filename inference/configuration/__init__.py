"""Configuration as code: tenants and everything that belongs to them, applied from and exported to YAML files.

``load`` parses YAML, ``specs`` checks types, ``references`` checks names, and ``apply`` changes the database.
``export`` goes the other way. ``settings_io`` reads and writes the settings that models declare.
"""
