"""Catalog entries: providers' models under public names."""

from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from gtapi.model_settings import Setting
from inference.endpoints import served_capabilities
from inference.models.providers import Provider
from inference.models.targets import InferenceTarget
from inference.providers import ADAPTERS

#: The section of settings that matter only to models that embed.
EMBEDDING = "Embedding"


class Capability(models.TextChoices):
    """What a model can do."""

    CHAT = "chat", "Chat"
    EMBED = "embed", "Embeddings"
    TRANSCRIBE = "transcribe", "Transcription"
    SPEECH = "speech", "Speech"
    IMAGE = "image", "Images"
    MODERATE = "moderate", "Moderation"
    RERANK = "rerank", "Reranking"


def _side(help_text: str) -> "models.CharField[str, str]":
    """A field for models that embed questions and chunks differently."""
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

    #: What apply, export and the admin form know of an entry.
    SETTINGS: ClassVar = (
        Setting("provider", section="Model"),
        Setting("model", section="Model"),
        Setting(
            "capabilities",
            section="Model",
            options=lambda: Capability.values,
            noun="capability",
            default=[Capability.CHAT.value],
        ),
        Setting("context_window", section="Model"),
        Setting("published"),
        Setting("query_prefix", section=EMBEDDING),
        Setting("passage_prefix", section=EMBEDDING),
        Setting("query_input_type", section=EMBEDDING),
        Setting("passage_input_type", section=EMBEDDING),
        Setting("unrelated_similarity", section=EMBEDDING),
        Setting("related_similarity", section=EMBEDDING),
    )

    provider = models.ForeignKey(Provider, models.RESTRICT, related_name="catalog")
    model = models.CharField(
        "raw model id", max_length=200, help_text="The provider's own id. Clients never see it."
    )
    capabilities = ArrayField(models.CharField(max_length=20, choices=Capability.choices))
    context_window = models.PositiveIntegerField(
        null=True,
        blank=True,
        help_text="Tokens of prompt and response together. "
        "Long conversations are shortened to fit it. Empty: no limit.",
    )
    published = models.BooleanField(default=True, help_text="If off, only agents can use this entry.")
    query_prefix = _side('Put before each question, such as "query: ".')
    passage_prefix = _side('Put before each chunk of a dataset, such as "passage: ".')
    query_input_type = _side('The input_type sent with questions, such as "query" or "search_query".')
    passage_input_type = _side('The input_type sent with chunks, such as "passage" or "document".')
    unrelated_similarity = _similarity(
        0.0, "Cosine similarity of a question and an unrelated chunk: relevance 0."
    )
    related_similarity = _similarity(
        1.0, "Cosine similarity of a question and the chunk that answers it: relevance 1."
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
        self._clean_capabilities()
        if self.related_similarity <= self.unrelated_similarity:
            raise ValidationError(
                {"related_similarity": "It must be greater than the similarity of unrelated texts."}
            )

    def _clean_capabilities(self) -> None:
        adapter = ADAPTERS.get(self.provider.kind) if self.provider_id else None
        if adapter is None:
            return
        missing = [name for name in self.capabilities if name not in served_capabilities(adapter.operations)]
        if missing:
            message = f"Providers of the kind '{adapter.label}' do not support: {', '.join(missing)}."
            raise ValidationError({"capabilities": message})
