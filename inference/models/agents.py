"""Agents: a prompt, a model and datasets under an alias, edited as a draft and published as versions."""

import json
from typing import Any, ClassVar

from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models, transaction
from django.db.models import Max
from django.utils import timezone

from files.models import Dataset
from gtapi.model_settings import Setting
from inference.models.catalog import Capability, CatalogEntry
from inference.models.targets import InferenceTarget
from inference.parameters import check_parameters

#: The default maximum number of context chunks for a question, and of their tokens.
PASSAGES = 5
PASSAGE_TOKENS = 1500
#: The sections of its form.
DRAFT = "Draft"
DATA = "Data of the draft"


class AgentContent(models.Model):
    """The content of an agent: the fields that the draft (the agent's row) and its versions share."""

    #: What apply, export, the admin form, versions and their diff know of an agent.
    SETTINGS: ClassVar = (
        Setting("catalog", section=DRAFT),
        Setting("instructions", section=DRAFT),
        Setting("datasets", section=DATA),
        Setting("parameters", section=DRAFT),
        Setting("forced", section=DRAFT),
        Setting("passages", section=DATA),
        Setting("passage_tokens", section=DATA),
        Setting("relevance", section=DATA),
        Setting("unknown_answer", section=DATA),
    )

    instructions = models.TextField(blank=True, help_text="The system message at the start of every chat.")
    parameters = models.JSONField(
        default=dict, blank=True, help_text="Defaults for parameters that the client does not send."
    )
    forced = models.JSONField(
        "forced parameters", default=dict, blank=True, help_text="Values that clients cannot change."
    )
    passages = models.PositiveSmallIntegerField(
        "maximum chunks",
        default=PASSAGES,
        validators=[MinValueValidator(1), MaxValueValidator(50)],
        help_text="The maximum number of chunks of its datasets in a prompt.",
    )
    passage_tokens = models.PositiveIntegerField(
        "maximum chunk tokens",
        default=PASSAGE_TOKENS,
        validators=[MinValueValidator(50), MaxValueValidator(1_000_000)],
        help_text="The maximum number of tokens of all these chunks together.",
    )
    relevance = models.FloatField(
        "minimum relevance",
        default=0.0,
        validators=[MinValueValidator(0), MaxValueValidator(1)],
        help_text='0 to 1. Chunks below it are left out. "Try a search" on a dataset shows the values.',
    )
    unknown_answer = models.TextField(
        "answer when nothing is found",
        blank=True,
        help_text="The response if no chunk is relevant, without calling the model. "
        "Empty: the model answers without chunks.",
    )

    class Meta:
        abstract = True

    def content(self) -> dict[str, Any]:
        """Return the columns of its settings by name; datasets are not a column."""
        columns = {field.name: field for field in self._meta.concrete_fields}
        fields = [columns[setting.field] for setting in self.SETTINGS if setting.field in columns]
        # An unsaved row may hold 1 where the database returns 1.0, which differ as JSON.
        return {
            field.attname: float(getattr(self, field.attname))
            if isinstance(field, models.FloatField)
            else getattr(self, field.attname)
            for field in fields
        }


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
            raise ValidationError({"catalog": "This catalog entry does not support chat."})
        for field in ("parameters", "forced"):
            if problem := check_parameters(getattr(self, field)):
                raise ValidationError({field: problem})

    @property
    def published(self) -> bool:
        return self.live_id is not None

    def has_unpublished_changes(self) -> bool:
        """Tell whether the draft differs from the live version."""
        if self.live is None:
            return True
        live, draft = self.live.snapshot(), self.snapshot()
        if set(live["dataset_ids"]) - set(draft["dataset_ids"]):
            # Deleted datasets are neither in a draft that could be published nor in what clients get.
            gone = self.live.deleted_datasets()
            live["dataset_ids"] = [pk for pk in live["dataset_ids"] if pk not in gone]
        # As JSON: in Python 1 equals true, for providers it does not.
        return json.dumps(live, sort_keys=True) != json.dumps(draft, sort_keys=True)

    def snapshot(self) -> dict[str, Any]:
        """Return what a version stores of the draft."""
        return {**self.content(), "dataset_ids": sorted(dataset.pk for dataset in self.datasets.all())}

    def _lock(self) -> "Agent":
        return Agent.objects.select_for_update(of=("self",)).get(pk=self.pk)

    @transaction.atomic
    def publish(self, by: str = "") -> "AgentVersion":
        """Make the stored draft the live version, unless it is live already."""
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
        """Hide the agent from clients. Returns whether it was live."""
        self.live = None
        return bool(Agent.objects.filter(pk=self.pk).exclude(live=None).update(live=None))

    @transaction.atomic
    def restore(self, version: "AgentVersion | None" = None) -> "AgentVersion":
        """Make an earlier version live and the draft equal to it; by default the one before the live one.

        Datasets that were deleted since are not restored; the returned version can tell which.

        Raises:
            ValidationError: the version does not exist, or its catalog entry was deleted.
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
    """An agent as it was published. The database refuses to change it."""

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
        """Return what the version stores."""
        return {**self.content(), "dataset_ids": self.dataset_ids}

    def deleted_datasets(self) -> list[str]:
        """Return the ids of its datasets that were deleted since."""
        there = set(Dataset.objects.filter(pk__in=self.dataset_ids).values_list("pk", flat=True))
        return [pk for pk in self.dataset_ids if pk not in there]
