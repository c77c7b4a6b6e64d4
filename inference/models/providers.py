"""Providers: the services that run models."""

from urllib.parse import urlsplit

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models

from gtapi.crypto import EncryptedJSONField, EncryptedTextField
from inference.models.targets import NAME
from inference.providers import ADAPTERS
from tenants.models import Tenant

HEADER_NAME = RegexValidator(r"\A[A-Za-z0-9!#$%&'*+.^_`|~-]+\Z", "This is no name of an HTTP header.")
#: Headers that the gateway sets by itself.
RESERVED_HEADERS = {
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "content-type",
    "accept-encoding",
}


#: Seconds that a provider is given at most.
LONGEST_TIMEOUT = 86_400


def _timeout(default: float, help_text: str) -> "models.FloatField[float, float]":
    return models.FloatField(
        default=default,
        help_text=help_text,
        validators=[MinValueValidator(0.1), MaxValueValidator(LONGEST_TIMEOUT)],
    )


def check_base_url(value: str) -> None:
    """Refuse what is no address of a server. Host names without dots are common inside a cluster."""
    try:
        url = urlsplit(value)
        port = url.port
    except ValueError:
        raise ValidationError("This is no URL.") from None
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
    """A server that runs models, and the credential that opens it."""

    tenant = models.ForeignKey(Tenant, models.CASCADE, related_name="providers")
    name = models.CharField(max_length=100, validators=[NAME])
    kind = models.CharField(max_length=40, choices=[(k, a.label) for k, a in ADAPTERS.items()])
    base_url = models.CharField(
        "base URL",
        max_length=500,
        validators=[check_base_url],
        help_text="Up to and with the version, such as https://llm.example.com/v1",
    )
    api_key = EncryptedTextField("API key", blank=True, help_text="Stored encrypted, never shown again.")
    headers = EncryptedJSONField(
        default=dict, blank=True, help_text="More headers for each request, stored encrypted."
    )
    connect_timeout = _timeout(5, "Seconds to connect")
    first_byte_timeout = _timeout(60, "Seconds to the first byte of a stream")
    between_chunks_timeout = _timeout(60, "Seconds of silence inside a stream")
    total_timeout = _timeout(600, "Seconds for the whole request")
    stream_usage = models.BooleanField(
        "ask for usage in streams",
        default=True,
        help_text="Off for servers that refuse stream_options; tokens of their streams are estimated.",
    )

    class Meta:
        ordering = ["tenant", "name"]
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "name"],
                name="inference_one_provider_a_name",
                violation_error_message="This tenant has a provider of that name.",
            )
        ]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        super().clean()
        self.base_url = self.base_url.rstrip("/")
        self.api_key = self.api_key.strip()
        if "\n" in self.api_key or "\r" in self.api_key:
            raise ValidationError({"api_key": "A credential is one line."})
        self._clean_headers()

    def _clean_headers(self) -> None:
        if not isinstance(self.headers, dict):
            raise ValidationError({"headers": "Give an object of names and values."})
        for name, value in self.headers.items():
            HEADER_NAME(name)
            if name.lower() in RESERVED_HEADERS:
                raise ValidationError({"headers": f"{name} is set by the gateway."})
            if not isinstance(value, str) or not value.isprintable():
                raise ValidationError({"headers": f"The value of {name} has to be one line of text."})
