"""Lists and counts of large tables use an index instead of scanning all rows."""

import pytest
from django.db import connection

from files.models import DatasetFile
from tests import factories
from tests.admin.conftest import queries, url


def plan(sql: str) -> str:
    """The query plan with index scans preferred, as on a large table."""
    with connection.cursor() as cursor:
        for method in ("seqscan", "sort", "bitmapscan", "hashjoin", "mergejoin"):
            cursor.execute(f"SET LOCAL enable_{method} = off")
        cursor.execute(f"EXPLAIN {sql}")
        return "\n".join(line for (line,) in cursor.fetchall())


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("page", "index"),
    [
        ("files_datasetfile", "files_datasetfile_newest"),
        ("files_file", "files_file_newest"),
        ("inference_conversation", "inference_conversation_newest"),
        ("inference_explanation", "inference_explanation_newest"),
    ],
)
def test_list_reads_the_newest_rows_from_an_index(operator, world, dataset, page, index):
    factories.dataset_file(dataset)
    factories.conversation(world.key)
    factories.explanation(world.tenant)
    with queries() as made:
        assert operator.get(url(f"{page}_changelist")).status_code == 200
    [listed] = [one for one in made if f'FROM "{page}"' in one["sql"] and f'ORDER BY "{page}"' in one["sql"]]
    found = plan(listed["sql"])
    assert f"using {index} on {page}" in found
    assert "Sort Key" not in found


@pytest.mark.django_db
def test_dashboard_counts_failed_files_with_an_index(operator, dataset):
    factories.dataset_file(dataset, state=DatasetFile.State.FAILED)
    with queries() as made:
        operator.get("/admin/")
    [counted] = [one for one in made if 'FROM "files_datasetfile"' in one["sql"] and "'failed'" in one["sql"]]
    assert "using files_datasetfile_failed on files_datasetfile" in plan(counted["sql"])
