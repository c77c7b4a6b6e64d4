"""The page "Why this answer": the context of a request, or how to have it recorded."""

import pytest

from tests import factories
from tests.admin.conftest import queries, text, url
from tests.admin.test_usage import record

pytestmark = pytest.mark.django_db


def passage(**fields):
    return {
        "file_id": "file-1", "filename": "handbook.pdf", "page": 4, "relevance": 0.83, "score": 0.97,
        "similarity": 0.81, "given": True, **fields,
    }  # fmt: skip


def why(client, request_id: str):
    return client.get(f"/admin/inference/explanation/why/{request_id}/", follow=True)


def test_page_shows_question_context_chunks_and_prompt_size(operator, world):
    dataset_file = factories.dataset_file(factories.dataset(world.tenant), filename="handbook.pdf")
    explanation = factories.explanation(
        world.tenant,
        key_id=world.key.row.pk,
        agent_version=3,
        query="How many days can I carry over?",
        passages=[
            passage(file_id=dataset_file.file_id),
            passage(given=False, filename="travel.pdf", similarity=None),
        ],
        passage_tokens=410,
        prompt_tokens=1780,
    )
    explanation.texts.create(
        dataset_file=dataset_file, position=0, heading="Holidays", text="Unused days expire in <b>March</b>."
    )
    usage = record(world, request_id=explanation.request_id)
    response = why(operator, explanation.request_id)
    page_text = text(response)
    for words in (
        "How many days can I carry over?", "support version 3", world.tenant.name, world.key.row.name,
        "1,780 tokens", "410 tokens 23 % of the prompt", "1 of 2 found went into the prompt", "not given",
        "page 4", "Holidays", "relevance 0.83", "similarity 0.81", "score 0.97", "expire in <b>March</b>.",
        "Deleted with its file",
    ):  # fmt: skip
        assert words in page_text, words
    html = response.content.decode()
    assert "<b>March" not in html
    assert url("files_datasetfile_change", dataset_file.pk) in html
    assert url("tenants_usagerecord_change", usage.pk) in html


def test_response_without_context_chunks_is_explained(operator, world):
    explanation = factories.explanation(world.tenant, prompt_tokens=20)
    assert "The search found nothing" in text(why(operator, explanation.request_id))


@pytest.mark.parametrize("passages", [None, 3, "x", [None, 1, {}, {"relevance": "x", "text": None}]])
def test_malformed_record_is_displayed(operator, world, passages):
    explanation = factories.explanation(world.tenant, passages=passages if passages is not None else {})
    assert why(operator, explanation.request_id).status_code == 200
    assert (
        operator.get(url("inference_explanation_changelist"), {"q": explanation.request_id}).status_code
        == 200
    )


def test_page_says_how_to_enable_explanations(operator, staff, world):
    usage = record(world)
    page_text = why(operator, usage.request_id)
    assert f"{world.tenant.name} does not record explanations." in text(page_text)
    assert url("tenants_tenant_change", world.tenant.pk) in page_text.content.decode()
    looking = why(staff("inference.view_explanation"), usage.request_id)
    assert f"Open {world.tenant.name}" not in text(looking)
    world.tenant.record_answers = True
    world.tenant.save()
    assert "before that was turned on, or it did not search" in text(why(operator, usage.request_id))


@pytest.mark.parametrize("request_id", ["req_none", "%00", "<script>", "'"])
def test_unknown_request_is_explained(operator, request_id):
    response = why(operator, request_id)
    assert response.status_code in (200, 404)
    assert "<script>'" not in response.content.decode()


def test_usage_record_links_to_its_explanation(operator, world):
    confirmation = record(world, request_id="req_4711")
    embedded = record(world, route="/embeddings")
    address = "/admin/inference/explanation/why/req_4711/"
    assert address in operator.get(url("tenants_usagerecord_change", confirmation.pk)).content.decode()
    html = operator.get(url("tenants_usagerecord_change", embedded.pk)).content.decode()
    assert "/explanation/why/" not in html


def test_page_requires_the_permission(staff, world):
    explanation = factories.explanation(world.tenant)
    assert why(staff("tenants.view_usagerecord"), explanation.request_id).status_code == 403
    assert why(staff("inference.view_explanation"), explanation.request_id).status_code == 200


def test_list_has_no_count_query_and_constant_cost(operator, world):
    address = url("inference_explanation_changelist", tenant__id__exact=world.tenant.pk)
    factories.explanation(world.tenant, passages=[passage()])
    operator.get(address)
    with queries() as few:
        response = operator.get(address)
    assert "1 of 1 found" in text(response)
    for _ in range(10):
        factories.explanation(world.tenant, passages=[passage(), passage(given=False)])
    with queries() as many:
        assert len(operator.get(address).context["cl"].result_list) == 11
    assert len(many) == len(few)
