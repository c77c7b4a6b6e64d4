"""Runbooks for a tenant: its values, and the checks that a runbook's checklist names."""
