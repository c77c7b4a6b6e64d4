"""Sets which models, agents and datasets a key may use: its grants."""

from files.models import DatasetGrant
from inference.models import Grant
from tenants.models import InferenceKey


def grant(key: InferenceKey, *, targets: set[int], datasets: set[str]) -> list[str]:
    """Make a key's grants equal to these ids of targets and of datasets; those that clients made stay the key's.

    Returns:
        what changed: ``allow`` for the targets, ``datasets`` for the datasets.
    """
    changed = []
    had = set(Grant.objects.filter(key=key).values_list("target_id", flat=True))
    if had != targets:
        Grant.objects.filter(key=key, target_id__in=had - targets).delete()
        Grant.objects.bulk_create(Grant(key=key, target_id=target) for target in sorted(targets - had))
        changed.append("allow")
    owned = set(
        DatasetGrant.objects.filter(key=key, dataset__by_client=False).values_list("dataset_id", flat=True)
    )
    if owned != datasets:
        DatasetGrant.objects.filter(key=key, dataset_id__in=owned - datasets).delete()
        DatasetGrant.objects.bulk_create(
            DatasetGrant(key=key, dataset_id=dataset) for dataset in sorted(datasets - owned)
        )
        changed.append("datasets")
    return changed
