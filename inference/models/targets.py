"""Providers, and what a tenant publishes over them: catalog entries and agents."""

import json
from typing import Any, ClassVar
from urllib.parse import urlsplit

from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models, transaction
from django.db.models import Max
from django.utils import timezone

from files.models import Dataset
from gtapi.crypto import EncryptedJSONField, EncryptedTextField
from inference.parameters import check_parameters
from inference.providers import ADAPTERS
from tenants.models import InferenceKey, Tenant

NAME = RegexValidator(
    r"\A[A-Za-z0-9][A-Za-z0-9._:/@+-]*\Z",
    "Start with a letter or digit; letters, digits and . _ : / @ + - may follow.",
)
HEADER_NAME = RegexValidator(r"\A[A-Za-z0-9!#$%&'*+.^_`|~-]+\Z", "This is no name of an HTTP header.")
#: How many passages of its data a question is given, and how many tokens of them, unless an agent says otherwise.
PASSAGES = 5
PASSAGE_TOKENS = 1500
#: Headers that the gateway sets by itself.
RESERVED_HEADERS = {
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "content-type",
    "accept-encoding",
}


class Capability(models.TextChoices):
    """What a model can do."""

    CHAT = "chat", "Chat"
    EMBED = "embed", "Embeddings"
    TRANSCRIBE = "transcribe", "Transcription"
    SPEECH = "speech", "Speech"
    IMAGE = "image", "Images"
    MODERATE = "moderate", "Moderation"


#: Seconds that a provider is given at most.
LONGEST_TIMEOUT = 86_400


def _timeout(default: float, help_text: str) -> "models.FloatField[float, float]":
    return models.FloatField(
        default=default,
        help_text=help_text,
        validators=[MinValueValidator(0.1), MaxValueValidator(LONGEST_TIMEOUT)],
    )


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


class InferenceTarget(models.Model):
    """A name that clients can send as ``model``: an agent's alias or a catalog entry's public name.

    Both kinds are rows of this table, so that the database itself keeps a tenant's names apart.
    """

    tenant = models.ForeignKey(Tenant, models.CASCADE, related_name="targets")
    name = models.CharField(max_length=200, validators=[NAME])
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "name"],
                name="inference_one_target_a_name",
                violation_error_message="This tenant has an agent or a catalog entry of that name.",
            )
        ]

    def __str__(self) -> str:
        return self.name


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


class AgentContent(models.Model):
    """What an agent is made of; shared by the draft (the agent's own row) and its versions."""

    CONTENT: ClassVar = (
        "catalog_id",
        "instructions",
        "parameters",
        "forced",
        "passages",
        "passage_tokens",
        "relevance",
        "unknown_answer",
    )

    instructions = models.TextField(blank=True, help_text="The system text that comes before every chat.")
    parameters = models.JSONField(
        default=dict, blank=True, help_text="Defaults, used where the client says nothing."
    )
    forced = models.JSONField(
        "forced parameters", default=dict, blank=True, help_text="Values that a client cannot change."
    )
    passages = models.PositiveSmallIntegerField(
        default=PASSAGES,
        validators=[MinValueValidator(1), MaxValueValidator(50)],
        help_text="Most passages of its data that a question is given.",
    )
    passage_tokens = models.PositiveIntegerField(
        "tokens of passages",
        default=PASSAGE_TOKENS,
        validators=[MinValueValidator(50), MaxValueValidator(1_000_000)],
        help_text="Most tokens that all passages together may take.",
    )
    relevance = models.FloatField(
        "least relevance",
        default=0.0,
        validators=[MinValueValidator(0), MaxValueValidator(1)],
        help_text="0 to 1: passages below it are left out. «Try a search» on a dataset shows what passages have.",
    )
    unknown_answer = models.TextField(
        "answer when nothing is found",
        blank=True,
        help_text="What it says where no passage is relevant, without asking the model. Empty: the model answers "
        "without passages.",
    )

    class Meta:
        abstract = True

    def content(self) -> dict[str, Any]:
        """Return the content's fields by name."""
        # A row that was just written may hold 1 where the database gives back 1.0, which JSON tells apart.
        return {**{name: getattr(self, name) for name in self.CONTENT}, "relevance": float(self.relevance)}


class Agent(AgentContent, InferenceTarget):
    """A prompt, a model and data under an alias. Its own row is the draft; clients get the live version."""

    catalog = models.ForeignKey(
        CatalogEntry, models.RESTRICT, related_name="agents", verbose_name="catalog entry"
    )
    datasets = models.ManyToManyField(Dataset, blank=True, related_name="agents")
    live = models.ForeignKey(
        "AgentVersion", models.SET_NULL, null=True, blank=True, editable=False, related_name="+"
    )

    def clean(self) -> None:
        super().clean()
        if self.catalog_id and self.tenant_id and self.catalog.tenant_id != self.tenant_id:
            raise ValidationError({"catalog": "This catalog entry belongs to another tenant."})
        if self.catalog_id and Capability.CHAT not in self.catalog.capabilities:
            raise ValidationError({"catalog": "This catalog entry cannot chat."})
        for field in ("parameters", "forced"):
            if problem := check_parameters(getattr(self, field)):
                raise ValidationError({field: problem})

    @property
    def published(self) -> bool:
        return self.live_id is not None

    def has_unpublished_changes(self) -> bool:
        """Tell whether the draft differs from what clients get."""
        if self.live is None:
            return True
        live, draft = self.live.snapshot(), self.snapshot()
        if set(live["dataset_ids"]) - set(draft["dataset_ids"]):
            # What was deleted is no part of a draft that could be published, nor of what clients get.
            gone = self.live.deleted_datasets()
            live["dataset_ids"] = [pk for pk in live["dataset_ids"] if pk not in gone]
        # As JSON: Python holds 1 and true for equal, providers do not.
        return json.dumps(live, sort_keys=True) != json.dumps(draft, sort_keys=True)

    def snapshot(self) -> dict[str, Any]:
        """Return all that a version keeps of the draft."""
        return {**self.content(), "dataset_ids": sorted(dataset.pk for dataset in self.datasets.all())}

    def _lock(self) -> "Agent":
        return Agent.objects.select_for_update(of=("self",)).get(pk=self.pk)

    @transaction.atomic
    def publish(self, by: str = "") -> "AgentVersion":
        """Make the stored draft the live version; one that is live already stays as it is."""
        agent = self._lock()
        if agent.has_unpublished_changes():
            number = (agent.versions.aggregate(n=Max("number"))["n"] or 0) + 1
            agent.live = AgentVersion.objects.create(
                agent=agent, number=number, published_by=by, **agent.snapshot()
            )
            Agent.objects.filter(pk=agent.pk).update(live=agent.live)
        self.live = agent.live
        assert self.live is not None  # noqa: S101 - tells the type checker what the branch above made sure of
        return self.live

    def unpublish(self) -> bool:
        """Take the agent away from clients; tells whether it was live until now."""
        self.live = None
        return bool(Agent.objects.filter(pk=self.pk).exclude(live=None).update(live=None))

    @transaction.atomic
    def restore(self, version: "AgentVersion | None" = None) -> "AgentVersion":
        """Make an earlier version live and the draft equal to it; by default the one before the live one.

        Datasets that were deleted since stay away; the version that is returned can tell which.

        Raises:
            ValidationError: there is no such version, or its catalog entry is gone.
        """
        agent = self._lock()
        if version is None:
            earlier = agent.versions.order_by("-number")
            version = (earlier.filter(number__lt=agent.live.number) if agent.live else earlier).first()
        if version is None or version.agent_id != agent.pk:
            raise ValidationError("There is no earlier version to restore.")
        if version.catalog_id is None:
            raise ValidationError(f"The catalog entry of version {version.number} was deleted.")
        Agent.objects.filter(pk=agent.pk).update(live=version, **version.content())
        agent.datasets.set(Dataset.objects.filter(tenant=agent.tenant_id, pk__in=version.dataset_ids))
        self.refresh_from_db()
        return version


class AgentVersion(AgentContent):
    """What an agent was when it was published. The database refuses to change it."""

    agent = models.ForeignKey(Agent, models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField()
    catalog = models.ForeignKey(CatalogEntry, models.SET_NULL, null=True, related_name="+")
    dataset_ids = ArrayField(models.CharField(max_length=40), default=list)
    published_at = models.DateTimeField(default=timezone.now)
    published_by = models.CharField(max_length=150, blank=True)

    class Meta:
        ordering = ["-number"]
        constraints = [
            models.UniqueConstraint(fields=["agent", "number"], name="inference_one_version_a_number")
        ]

    def __str__(self) -> str:
        return f"version {self.number}"

    def snapshot(self) -> dict[str, Any]:
        """Return all that the version keeps."""
        return {**self.content(), "dataset_ids": self.dataset_ids}

    def deleted_datasets(self) -> list[str]:
        """Return the ids of its datasets that were deleted since."""
        there = set(Dataset.objects.filter(pk__in=self.dataset_ids).values_list("pk", flat=True))
        return [pk for pk in self.dataset_ids if pk not in there]


class Grant(models.Model):
    """A key's permission to call an agent or a catalog entry. No grant, no access."""

    key = models.ForeignKey(InferenceKey, models.CASCADE, related_name="grants")
    target = models.ForeignKey(InferenceTarget, models.CASCADE, related_name="grants")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["key", "target"], name="inference_one_grant_a_target")]

    def __str__(self) -> str:
        return f"{self.key} → {self.target}"
