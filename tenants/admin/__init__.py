"""The admin of tenants, usage and operators' accounts. Keys are in ``inference.admin``, where their grants live."""

from tenants.admin import accounts, tenants, usage

__all__ = ["accounts", "tenants", "usage"]
