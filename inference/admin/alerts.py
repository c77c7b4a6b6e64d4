"""Alerts of the dashboard, and the setup steps of a new gateway."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import urlencode

from django.contrib.admin.utils import quote
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone

from files.admin.metrics import WORKING
from files.models import Dataset, DatasetFile
from gtapi.text import pluralize
from inference.admin.metrics import faulty_providers
from inference.models import Agent, CatalogEntry, Provider
from tenants.models import InferenceKey, KeyActivity, Tenant

#: Keys that expire within this time are reported.
SOON = timedelta(days=14)
#: Keys that are still unused this long after their creation may have been lost.
UNUSED = timedelta(days=7)
#: Files that failed longer ago are not reported.
LATELY = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Alert:
    """A problem, and the page about it, for users who have ``permission``."""

    tone: str
    icon: str
    text: str
    note: str
    link: str
    permission: str


@dataclass(frozen=True, slots=True)
class SetupStep:
    """A step of the setup, for users who have ``permission``."""

    text: str
    note: str
    link: str
    done: bool
    permission: str


def alerts(tenant: Tenant | None) -> list[Alert]:
    """Return what needs attention, of one tenant or of all."""
    return [*_providers(tenant), *_files(tenant), *_agents(tenant), *_keys(tenant), *_tenants(tenant)]


def _changelist(page: str, tenant: Tenant | None, **query: str) -> str:
    if tenant:
        query["tenant" if page == "tenants_usagerecord" else "tenant__id__exact"] = str(tenant.pk)
    return f"{reverse(f'admin:{page}_changelist')}?{urlencode(query)}"


def _providers(tenant: Tenant | None) -> Iterator[Alert]:
    for name, faults in faulty_providers(tenant.pk if tenant else None):
        yield Alert(
            "danger", "dns", f"{name}: {pluralize(faults, 'fault')}", "in the last 24 hours",
            _changelist("tenants_usagerecord", tenant, outcome="server", period="24h"), "tenants.view_usagerecord",
        )  # fmt: skip
    without = Tenant.objects.filter(active=True, providers=None)
    for other in without.filter(pk=tenant.pk) if tenant else without[:3]:
        yield Alert(
            "warning", "dns", f"{other.name} has no provider", "its clients can call nothing",
            f"{reverse('admin:inference_provider_add')}?tenant={other.pk}", "inference.add_provider",
        )  # fmt: skip


def _files(tenant: Tenant | None) -> Iterator[Alert]:
    dataset_files = DatasetFile.objects.filter(tenant=tenant) if tenant else DatasetFile.objects.all()
    if failed := dataset_files.filter(
        state=DatasetFile.State.FAILED, ended_at__gte=timezone.now() - LATELY
    ).count():
        yield Alert(
            "danger", "scan_delete", f"{pluralize(failed, 'file')} failed",
            "in the last 7 days; they cannot be searched",
            _changelist("files_datasetfile", tenant, state="failed"), "files.view_datasetfile",
        )  # fmt: skip
    if working := dataset_files.filter(state__in=WORKING).count():
        yield Alert(
            "info", "hourglass_top", f"{pluralize(working, 'file')} processing", "queued or being processed",
            _changelist("files_datasetfile", tenant, state="work"), "files.view_datasetfile",
        )  # fmt: skip
    if stuck := dataset_files.stuck_before_ocr().count():
        yield Alert(
            "danger", "document_scanner", f"{pluralize(stuck, 'file waits,files wait')} for OCR",
            "no worker processes them: start one for the queue ocr",
            _changelist("files_datasetfile", tenant, state="work"), "files.view_datasetfile",
        )  # fmt: skip
    broken = Dataset.objects.exclude(index_error="")
    for dataset in broken.filter(tenant=tenant)[:3] if tenant else broken[:3]:
        yield Alert(
            "danger", "database_off", f"{dataset.name} could not be re-indexed", dataset.index_error[:120],
            reverse("admin:files_dataset_change", args=[quote(dataset.pk)]), "files.view_dataset",
        )  # fmt: skip


def _agents(tenant: Tenant | None) -> Iterator[Alert]:
    agents = Agent.objects.select_related("live").prefetch_related("datasets")
    if tenant:
        agents = agents.filter(tenant=tenant)
    drafts = changed = 0
    for agent in agents:
        if agent.live is None:
            drafts += 1
        elif agent.has_unpublished_changes():
            changed += 1
    if changed:
        yield Alert(
            "info", "edit_note", f"{pluralize(changed, 'agent')} with unpublished changes",
            "clients still get the live version",
            _changelist("inference_agent", tenant, state="dirty"), "inference.view_agent",
        )  # fmt: skip
    if drafts:
        yield Alert(
            "info", "smart_toy", f"{pluralize(drafts, 'agent')} not published", "clients cannot reach them",
            _changelist("inference_agent", tenant, state="off"), "inference.view_agent",
        )  # fmt: skip


def _keys(tenant: Tenant | None) -> Iterator[Alert]:
    now = timezone.now()
    live = InferenceKey.objects.live()
    if tenant:
        live = live.filter(tenant=tenant)
    if expiring := live.filter(expires_at__lte=now + SOON).count():
        yield Alert(
            "warning", "schedule", f"{pluralize(expiring, 'key')} about to expire", "within 14 days",
            _changelist("tenants_inferencekey", tenant, state="expiring"), "tenants.view_inferencekey",
        )  # fmt: skip
    if unused := live.filter(activity=None, created_at__lte=now - UNUSED).count():
        yield Alert(
            "info", "key_off", f"{pluralize(unused, 'key')} never used", "and older than a week",
            _changelist("tenants_inferencekey", tenant, state="unused"), "tenants.view_inferencekey",
        )  # fmt: skip


def _tenants(tenant: Tenant | None) -> Iterator[Alert]:
    off = Tenant.objects.filter(active=False)
    for other in off.filter(pk=tenant.pk) if tenant else off[:3]:
        yield Alert(
            "warning", "domain_disabled", f"{other.name} is off", "all of its keys are refused",
            reverse("admin:tenants_tenant_change", args=[other.pk]), "tenants.view_tenant",
        )  # fmt: skip


def setup_steps() -> list[SetupStep]:
    """Return the steps from an empty gateway to a first request."""
    published = CatalogEntry.objects.filter(published=True).exists() and not Agent.objects.exists()
    agent = published or Agent.objects.filter(~Q(live=None)).exists()
    return [
        SetupStep(
            "Add a tenant", "the organisation whose clients you serve",
            _add("tenants_tenant"), Tenant.objects.exists(), "tenants.add_tenant",
        ),
        SetupStep(
            "Connect a provider", "any server that speaks OpenAI's API",
            _add("inference_provider"), Provider.objects.exists(), "inference.add_provider",
        ),
        SetupStep(
            "Put a model into the catalog", "a provider's model under a public name",
            _add("inference_catalogentry"), CatalogEntry.objects.exists(), "inference.add_catalogentry",
        ),
        SetupStep(
            "Publish an agent", "instructions over a model; a published catalog entry serves without one",
            _add("inference_agent"), agent, "inference.add_agent",
        ),
        SetupStep(
            "Hand out a key", "with just the scopes and names that its client needs",
            _add("tenants_inferencekey"), InferenceKey.objects.exists(), "tenants.add_inferencekey",
        ),
        SetupStep(
            "Serve a first request", "the page of a new key has code samples to paste",
            reverse("admin:tenants_usagerecord_changelist"), KeyActivity.objects.exists(),
            "tenants.view_usagerecord",
        ),
    ]  # fmt: skip


def _add(page: str) -> str:
    return reverse(f"admin:{page}_add")
