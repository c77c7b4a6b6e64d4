"""Catalog entries: providers' models under public names."""

from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from inference.models.providers import Provider
from inference.models.targets import InferenceTarget


class Capability(models.TextChoices):
    """What a model can do."""

    CHAT = "chat", "Chat"
    EMBED = "embed", "Embeddings"
    TRANSCRIBE = "transcribe", "Transcription"
    SPEECH = "speech", "Speech"
    IMAGE = "image", "Images"
    MODERATE = "moderate", "Moderation"


def _side(help_text: str) -> "models.CharField[str, str]":
    """How a model that embeds questions otherwise than passages is told which of them a text is."""
    return models.CharField(max_length=200, blank=True, default="", db_default="", help_text=help_text)


def _similarity(default: float, help_text: str) -> "models.FloatField[float, float]":
    return models.FloatField(
        default=default,
        db_default=default,
        help_text=help_text,
        validators=[MinValueValidator(-1), MaxValueValidator(1)],
    )


class CatalogEntry(InferenceTarget):
    """A provider's model under a public name."""

    #: What is said of models that embed.
    EMBEDDING: ClassVar = (
        "query_prefix",
        "passage_prefix",
        "query_input_type",
        "passage_input_type",
        "unrelated_similarity",
        "related_similarity",
    )

    provider = models.ForeignKey(Provider, models.RESTRICT, related_name="catalog")
    model = models.CharField(
        "raw model id", max_length=200, help_text="The provider's own id. Clients never see it."
    )
    capabilities = ArrayField(models.CharField(max_length=20, choices=Capability.choices))
    context_window = models.PositiveIntegerField(
        null=True,
        blank=True,
        help_text="Tokens of prompt and answer together. Long conversations are cut to it; empty: they are not.",
    )
    published = models.BooleanField(
        default=True, help_text="While this is off, only agents can use the entry."
    )
    query_prefix = _side("What is put before a question that a dataset is searched with, such as «query: »")
    passage_prefix = _side("What is put before a passage of a dataset, such as «passage: »")
    query_input_type = _side("The input_type that is sent with questions, such as «query» or «search_query»")
    passage_input_type = _side("The input_type that is sent with passages, such as «passage» or «document»")
    unrelated_similarity = _similarity(
        0.0, "The cosine of a question and a passage that have nothing to do with each other: relevance 0"
    )
    related_similarity = _similarity(
        1.0, "The cosine of a question and the passage that answers it: relevance 1"
    )

    class Meta:
        verbose_name = "catalog entry"
        verbose_name_plural = "catalog entries"

    def clean(self) -> None:
        super().clean()
        if self.provider_id and self.tenant_id and self.provider.tenant_id != self.tenant_id:
            raise ValidationError({"provider": "This provider belongs to another tenant."})
        if not self.capabilities:
            raise ValidationError({"capabilities": "Choose at least one."})
        if self.related_similarity <= self.unrelated_similarity:
            raise ValidationError(
                {"related_similarity": "It has to be larger than that of what is unrelated."}
            )
