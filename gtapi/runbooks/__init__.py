"""Runbooks: what an operator gives to the author of a client. The next client is one more file beside this one.

A runbook is data; ``templates/runbooks/runbook.md`` and the admin's page show it, filled in with a tenant's values.
"""
