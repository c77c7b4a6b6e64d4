from django.apps import AppConfig
from django.db.models.signals import post_migrate


class TenantsConfig(AppConfig):
    name = "tenants"
    verbose_name = "Tenants and keys"

    def ready(self) -> None:
        from tenants import checks as checks  # noqa: PLC0414 - imported for what it registers
        from tenants import partitions

        post_migrate.connect(partitions.after_migrate, sender=self)
