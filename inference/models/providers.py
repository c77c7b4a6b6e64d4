"""Providers: the services that run models."""

from typing import ClassVar
from urllib.parse import urlsplit

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models

from gtapi.crypto import EncryptedJSONField, EncryptedTextField
from gtapi.model_settings import Setting
from inference.models.targets import NAME
from inference.providers import ADAPTERS
from tenants.models import Tenant

HEADER_NAME = RegexValidator(r"\A[A-Za-z0-9!#$%&'*+.^_`|~-]+\Z", "This is not a valid HTTP header name.")
#: Headers that the gateway sets.
RESERVED_HEADERS = {
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "content-type",
    "accept-encoding",
}


#: The longest timeout of a provider, in seconds.
LONGEST_TIMEOUT = 86_400
#: The kind of a provider in a configuration file that names none.
DEFAULT_KIND = "openai_compatible"
#: The sections of its form.
CREDENTIALS = "Credentials"
TIMEOUTS = "Timeouts and streams"


def _timeout(default: float, help_text: str) -> "models.FloatField[float, float]":
    return models.FloatField(
        default=default,
        help_text=help_text,
        validators=[MinValueValidator(0.1), MaxValueValidator(LONGEST_TIMEOUT)],
    )


def check_kind(value: str) -> None:
    """Refuse a kind without an adapter."""
    if value not in ADAPTERS:
        raise ValidationError(f"Unknown kind of provider. The kinds are: {', '.join(ADAPTERS)}.")


def check_base_url(value: str) -> None:
    """Refuse what is not the address of a server. Host names without dots are common inside a cluster."""
    try:
        url = urlsplit(value)
        port = url.port
    except ValueError:
        raise ValidationError("This is not a URL.") from None
    if (
        url.scheme not in ("http", "https")
        or not url.hostname
        or port == 0
        or not value.isprintable()
        or " " in value
    ):
        raise ValidationError("Enter a URL such as https://llm.example.com/v1.")
    if url.username or url.password or url.query or url.fragment:
        raise ValidationError("Leave credentials, query and fragment out of the URL.")


class Provider(models.Model):
    """A service that runs models: its kind, address and credential."""

    #: What apply, export and the admin form know of a provider.
    SETTINGS: ClassVar = (
        Setting("kind", options=lambda: ADAPTERS, noun="kind of provider", default=DEFAULT_KIND),
        Setting("base_url"),
        Setting("api_key", section=CREDENTIALS),
        Setting("headers", section=CREDENTIALS),
        Setting("connect_timeout", "timeouts.connect", TIMEOUTS),
        Setting("first_byte_timeout", "timeouts.first_byte", TIMEOUTS),
        Setting("between_chunks_timeout", "timeouts.between_chunks", TIMEOUTS),
        Setting("total_timeout", "timeouts.total", TIMEOUTS),
        Setting("stream_usage", section=TIMEOUTS),
    )

    tenant = models.ForeignKey(Tenant, models.CASCADE, related_name="providers")
    name = models.CharField(max_length=100, validators=[NAME])
    kind = models.CharField(max_length=40, validators=[check_kind])
    base_url = models.CharField(
        "base URL",
        max_length=500,
        blank=True,
        validators=[check_base_url],
        help_text="Including the version, such as https://llm.example.com/v1. The fake provider needs none.",
    )
    api_key = EncryptedTextField("API key", blank=True, help_text="Stored encrypted, never shown again.")
    headers = EncryptedJSONField(
        default=dict, blank=True, help_text="Extra headers for each request, stored encrypted."
    )
    connect_timeout = _timeout(5, "Seconds to connect")
    first_byte_timeout = _timeout(60, "Seconds to the first byte of a stream")
    between_chunks_timeout = _timeout(60, "Seconds of silence within a stream")
    total_timeout = _timeout(600, "Seconds for the whole request")
    stream_usage = models.BooleanField(
        "ask for usage in streams",
        default=True,
        help_text="Turn off for servers that refuse stream_options; tokens of their streams are then estimated.",
    )

    class Meta:
        ordering = ["tenant", "name"]
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "name"],
                name="inference_one_provider_a_name",
                violation_error_message="This tenant already has a provider with this name.",
            )
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def kind_label(self) -> str:
        """The name of its kind in the admin."""
        return ADAPTERS[self.kind].label if self.kind in ADAPTERS else self.kind

    def clean(self) -> None:
        super().clean()
        self.base_url = self.base_url.rstrip("/")
        if self.kind in ADAPTERS and ADAPTERS[self.kind].has_network and not self.base_url:
            raise ValidationError({"base_url": "A provider of this kind needs a base URL."})
        self.api_key = self.api_key.strip()
        if "\n" in self.api_key or "\r" in self.api_key:
            raise ValidationError({"api_key": "An API key is one line."})
        self._clean_headers()

    def _clean_headers(self) -> None:
        if not isinstance(self.headers, dict):
            raise ValidationError({"headers": "Enter an object of names and values."})
        for name, value in self.headers.items():
            HEADER_NAME(name)
            if name.lower() in RESERVED_HEADERS:
                raise ValidationError({"headers": f"{name} is set by the gateway."})
            if not isinstance(value, str) or not value.isprintable():
                raise ValidationError({"headers": f"The value of {name} must be one line of text."})
