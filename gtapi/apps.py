from django.apps import AppConfig


class GatewayConfig(AppConfig):
    name = "gtapi"
    verbose_name = "Gateway"
