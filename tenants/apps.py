from django.apps import AppConfig
from django.db.models.signals import post_migrate


class TenantsConfig(AppConfig):
    name = "tenants"
    verbose_name = "Tenants and keys"

    def ready(self) -> None:
        from tenants import system_checks  # noqa: F401 - imported for the checks that it registers
        from tenants.usage import partitions

        post_migrate.connect(partitions.after_migrate, sender=self)
