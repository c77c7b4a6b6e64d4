"""Runbooks: instructions that an operator hands to the developer of a client, one YAML file each.

``templates/runbooks/runbook.md`` and the admin's runbook page render a file with the values of a tenant. To add a
runbook, add a YAML file to this folder.
"""
