"""Conversations in the admin: display, escaping of clients' text, permissions and deletion."""

import json
from base64 import b64encode
from random import randbytes

import pytest

from files.models import Dataset
from inference.admin.transcript import MOST_CHARACTERS, read
from inference.models import Conversation, Turn
from tests import factories
from tests.admin.conftest import queries, text, url
from tests.admin.test_usage import record
from tests.browsing import Client

QUESTION = {"role": "user", "content": "When does the office open?"}
ANSWER = {"role": "assistant", "content": "At nine."}
CALL = {
    "role": "assistant",
    "content": None,
    "tool_calls": [
        {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Rome"}'}}
    ],
}
FEW_WORDS = [{"type": "text", "text": "What is this?"}]
PICTURE = [
    {
        "type": "image_url",
        "image_url": {"url": f"data:image/png;base64,{b64encode(randbytes(60_000)).decode()}"},
    }
]
RESULT = {"role": "tool", "tool_call_id": "call_1", "content": '{"sky": "rain"}'}

pytestmark = pytest.mark.django_db


@pytest.fixture
def thread(world) -> Conversation:
    return factories.conversation(world.key, user="mia")


def page(client: Client, thread: Conversation, **query):
    response = client.get(url("inference_conversation_change", thread.pk), query)
    assert response.status_code == 200
    return response


def listed(client: Client, **query) -> list[str]:
    response = client.get(url("inference_conversation_changelist"), query)
    assert response.status_code == 200
    return [row.pk for row in response.context["cl"].result_list]


class TestList:
    def test_list_can_be_filtered_and_searched(self, operator, world, thread):
        other = factories.conversation(factories.key(world.tenant), user="bob")
        assert listed(operator, tenant=world.tenant.pk) == [other.pk, thread.pk]
        assert listed(operator, key=world.key.row.pk) == [thread.pk]
        assert listed(operator, q=thread.pk) == [thread.pk]
        assert listed(operator, q="bob", tenant=world.tenant.pk) == [other.pk]
        assert listed(operator, q="nobody", tenant=world.tenant.pk) == []

    def test_list_shows_turn_count_and_last_turn(self, operator, world, thread):
        factories.turn(thread, QUESTION, ANSWER)
        factories.turn(thread, QUESTION, state="failed")
        page_text = text(operator.get(url("inference_conversation_changelist"), {"q": thread.pk}))
        for words in ("user mia", world.key.row.name, "2 1 without an answer", "just now"):
            assert words in page_text

    @pytest.mark.parametrize(
        ("message", "words"),
        [
            (QUESTION, QUESTION["content"]),
            ({"role": "user", "content": ["In a list", "and more"]}, "In a list"),
            (
                {
                    "role": "user",
                    "content": [{"type": "image_url"}, {"type": "text", "text": "What is <b>it</b>?"}],
                },
                "What is <b>it</b>?",
            ),
            ({"role": "user", "content": "word " * 500}, "word word word…"),
            ({"role": "user", "content": "休暇は何日" * 100}, "休暇は何日" * 15 + "休暇は何…"),
            ({"role": "user", "content": "Ja: " + "休暇" * 100}, "Ja: " + "休暇" * 37 + "休…"),
            ({"role": "user", "content": " \n\t\u3000" * 100 + "After blanks"}, "After blanks"),
            ({"role": "user", "content": " \n" * 100}, "The second question"),
            ({"role": "user", "content": [{"type": "image_url"}]}, "The second question"),
            ({"role": "user", "content": {"odd": 1}}, "The second question"),
            ({"role": "user"}, "The second question"),
            ({"role": "user", "content": [*FEW_WORDS, *PICTURE]}, "The second question"),
        ],
    )
    def test_list_shows_how_each_conversation_began(self, operator, thread, message, words):
        factories.turn(thread, {"role": "assistant", "content": "Hello!"})
        factories.turn(thread, message, ANSWER)
        factories.turn(thread, {"role": "user", "content": "The second question"}, ANSWER)
        factories.turn(thread, {"role": "user", "content": "The third question"}, ANSWER)
        page = operator.get(url("inference_conversation_changelist"), {"q": thread.pk})
        page_text = text(page)
        assert words in page_text
        assert "The third question" not in page_text
        assert "<b>" not in page.content.decode()

    def test_list_looks_for_text_at_the_beginning_only(self, operator, thread):
        for _ in range(5):
            factories.turn(thread, {"role": "user", "content": PICTURE}, ANSWER)
        factories.turn(thread, QUESTION, ANSWER)
        page_text = text(operator.get(url("inference_conversation_changelist"), {"q": thread.pk}))
        assert "No text at its beginning" in page_text

    def test_list_marks_conversations_without_a_question(self, operator, thread):
        page_text = text(operator.get(url("inference_conversation_changelist"), {"q": thread.pk}))
        assert "Nothing was asked yet" in page_text
        assert "without a key" not in page_text

    def test_list_has_no_count_query_and_constant_cost(self, operator, world, thread):
        address = url("inference_conversation_changelist", tenant=world.tenant.pk)
        operator.get(address)
        with queries() as few:
            operator.get(address)
        for _ in range(10):
            factories.turn(factories.conversation(world.key), QUESTION, ANSWER)
        with queries() as many:
            assert len(operator.get(address).context["cl"].result_list) == 11
        assert len(many) == len(few)


class TestPage:
    def test_page_shows_the_turns_in_order(self, operator, thread):
        thread.system = [{"role": "system", "content": "Be brief."}]
        thread.metadata = {"ticket": "4711"}
        thread.save()
        factories.turn(thread, QUESTION, ANSWER, model="support")
        page_text = text(page(operator, thread))
        order = ["Be brief.", "Turn 1", "asked support", QUESTION["content"], "At nine."]
        assert [words for words in sorted(order, key=page_text.index) if words in page_text] == order
        assert "ticket: 4711" in page_text

    def test_turns_without_a_response_are_shown_separately(self, operator, world, thread):
        failed = factories.turn(thread, QUESTION, state="failed")
        factories.turn(thread, QUESTION, state="abandoned")
        factories.turn(thread, QUESTION, state="pending")
        record(world, request_id=failed.request_id, status=502, error_code="upstream_error")
        response = page(operator, thread)
        assert [one.aside for one in response.context["exchanges"]] == [True, True, False]
        page_text = text(response)
        for words in (
            "It got no answer.",
            "upstream_error",
            "The client left before the end.",
            "being answered",
        ):
            assert words in page_text

    def test_superseded_turns_are_marked(self, operator, thread):
        factories.turn(thread, QUESTION, {**ANSWER, "content": "At eight."}, superseded=[1])
        html = page(operator, thread).content.decode()
        assert html.count("gt-superseded") == 1
        assert "superseded: the client edited the thread or asked again" in text(page(operator, thread))

    def test_page_marks_turns_that_lost_messages(self, operator, thread):
        factories.turn(thread, state="failed", shortened=True)
        factories.turn(thread, QUESTION, ANSWER)
        page_text = text(page(operator, thread))
        assert page_text.count("that counted no more were deleted: the thread was full") == 1
        assert page_text.index("the thread was full") < page_text.index("Turn 2")

    def test_page_shows_where_a_prompt_was_truncated(self, operator, thread):
        for number in range(3):
            factories.turn(thread, {**QUESTION, "content": f"Question {number}"}, ANSWER)
        factories.turn(thread, {**QUESTION, "content": "The last one"}, ANSWER, left_out=2)
        page_text = text(page(operator, thread))
        assert "The 2 oldest messages of the thread did not fit" in page_text
        marker = page_text.index("The prompt of turn 4 began here")
        assert page_text.index("Question 0") < marker < page_text.index("Question 1")

    def test_tool_calls_images_audio_and_files_are_displayed(self, operator, thread):
        parts = [
            {"type": "text", "text": "What is this?"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 4000}},
            {"type": "image_url", "image_url": {"url": "https://pictures.example/cat.png"}},
            {"type": "input_audio", "input_audio": {"data": "B" * 4000, "format": "wav"}},
            {
                "type": "file",
                "file": {"filename": "plan.pdf", "file_data": "data:application/pdf;base64,AAAA"},
            },
            {"type": "something_new", "value": 1},
        ]
        factories.turn(thread, {"role": "user", "content": parts}, CALL)
        factories.turn(thread, RESULT, ANSWER)
        response = page(operator, thread)
        page_text = text(response)
        for words in (
            "Image image/png, 3.0 kB", "https://pictures.example/cat.png", "Recording wav, 3.0 kB",
            "plan.pdf, application/pdf", "something_new", "Calls weather", '"city": "Rome"',
            "Result of weather", '"sky": "rain"',
        ):  # fmt: skip
            assert words in page_text, words
        html = response.content.decode()
        assert "<img" not in html.partition("What was said")[2]
        assert 'href="https://pictures.example' not in html
        assert "AAAAAAAA" not in html

    def test_citations_are_shown_with_their_response(self, operator, thread):
        cited = {"file_id": "file-1", "filename": "handbook.pdf", "page": 4, "quote": "It opens at nine."}
        factories.turn(thread, QUESTION, {**ANSWER, "citations": [cited]})
        page_text = text(page(operator, thread))
        assert "1 citation" in page_text
        assert "handbook.pdf , page 4" in page_text or "handbook.pdf, page 4" in page_text
        assert "It opens at nine." in page_text

    @pytest.mark.parametrize(
        "evil",
        ["<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "[x](javascript:alert(1))", "{{ 7 }}"],
    )
    def test_text_of_clients_is_escaped(self, operator, world, evil):
        thread = factories.conversation(
            world.key, user=evil, metadata={evil: evil}, system=[{"role": "system", "content": evil}]
        )
        message = {
            "role": "assistant", "content": evil, "name": evil, "refusal": evil,
            "citations": [{"filename": evil, "quote": evil, "page": evil}],
            "tool_calls": [{"id": evil, "function": {"name": evil, "arguments": evil}}],
        }  # fmt: skip
        picture = {"type": "image_url", "image_url": {"url": evil}}
        factories.turn(
            thread, {"role": evil, "content": evil}, message, {"role": "user", "content": [picture, {"type": evil}]},
            model=evil,
        )  # fmt: skip
        html = page(operator, thread).content.decode()
        assert html.count(evil) <= (evil.count("<") == 0) * 100
        assert "<img src=x" not in html
        assert "<script>alert" not in html
        assert 'href="javascript' not in html

    @pytest.mark.parametrize(
        "message",
        [
            7, "just text", [], {}, {"role": None}, {"role": 3, "content": 3}, {"content": [None, 7, "x", []]},
            {"role": "user", "content": {"a": 1}}, {"role": "assistant", "tool_calls": "x"},
            {"role": "assistant", "tool_calls": [None, {}, {"function": None}, {"function": {"arguments": 3}}]},
            {"role": "tool", "content": '{"broken": '}, {"role": "tool", "content": '["\\ud800"]'},
            {"role": "assistant", "citations": [None, {}, {"page": {"a": 1}}]}, {"role": "assistant", "audio": {}},
            {"role": "user", "content": [{"type": "image_url"}, {"type": "input_audio"}, {"type": "file"}]},
            {"role": "tool", "content": "[" * 5000},
        ],
        ids=lambda value: json.dumps(value)[:40],
    )  # fmt: skip
    def test_malformed_message_is_displayed(self, operator, thread, message):
        factories.turn(thread, message)
        thread.system = message
        thread.save()
        page(operator, thread)

    def test_large_message_is_truncated(self):
        (part,) = read({"role": "user", "content": "x" * (MOST_CHARACTERS + 500)}, {}).parts
        assert (len(part.text), part.more) == (MOST_CHARACTERS, 500)

    def test_long_conversation_opens_at_its_end(self, operator, thread):
        for number in range(60):
            factories.turn(thread, {**QUESTION, "content": f"Question {number}."}, ANSWER)
        page_text = text(page(operator, thread))
        assert "Turns 51 to 60 of 60." in page_text
        assert "Question 59." in page_text
        assert "Question 49." not in page_text
        assert "Question 0." in text(page(operator, thread, turns=1))
        assert page(operator, thread, turns="x").status_code == 200

    def test_more_turns_cost_no_more_queries(self, operator, world, thread):
        turn = factories.turn(thread, QUESTION, ANSWER)
        record(world, request_id=turn.request_id)
        page(operator, thread)
        with queries() as few:
            page(operator, thread)
        for _ in range(20):
            turn = factories.turn(thread, QUESTION, CALL)
            record(world, request_id=turn.request_id)
            factories.turn(thread, RESULT, ANSWER)
        with queries() as many:
            page(operator, thread)
        assert len(many) == len(few)

    def test_each_turn_links_to_its_usage_record_and_explanation(self, operator, world, thread):
        turn = factories.turn(thread, QUESTION, ANSWER)
        usage = record(world, request_id=turn.request_id)
        html = page(operator, thread).content.decode()
        assert url("tenants_usagerecord_change", usage.pk) in html
        assert url("inference_explanation_why", turn.request_id).replace("_5F", "_") in html

    def test_page_lists_the_files_of_the_conversation(self, operator, world, thread):
        thread.dataset = factories.dataset(world.tenant, hidden=True)
        thread.save()
        factories.dataset_file(
            thread.dataset, filename="notes.md", state="processing", stage="chunking", progress=40
        )
        page_text = text(page(operator, thread))
        assert "Its files" in page_text
        assert "Chunking · 40 %" in page_text


class TestWhoMay:
    def test_conversations_cannot_be_added_or_changed(self, operator, thread):
        assert (
            operator.post(url("inference_conversation_change", thread.pk), {"user": "x"}).status_code == 403
        )
        assert operator.get(url("inference_conversation_add")).status_code == 403

    def test_view_permission_is_required_and_is_read_only(self, operator, staff, world, thread):
        thread.dataset = factories.dataset(world.tenant, hidden=True)
        thread.save()
        factories.dataset_file(thread.dataset, filename="secret-plan.pdf")
        turn = factories.turn(thread, QUESTION, ANSWER)
        usage = record(world, request_id=turn.request_id)
        address = url("inference_conversation_change", thread.pk)
        assert staff("files.view_datasetfile").get(address).status_code == 403
        html = staff("inference.view_conversation").get(address).content.decode()
        assert "At nine." in html
        assert "secret-plan.pdf" not in html
        assert url("tenants_usagerecord_change", usage.pk) not in html
        assert "why this answer" not in html

    def test_deletion_requires_the_permission_and_deletes_the_files(self, operator, staff, world, thread):
        factories.turn(thread, QUESTION, ANSWER)
        thread.dataset = factories.dataset(world.tenant, hidden=True)
        thread.save()
        dataset_file = factories.dataset_file(thread.dataset)
        address = url("inference_conversation_delete", thread.pk)
        assert staff("inference.view_conversation").post(address, {"post": "yes"}).status_code == 403
        assert "When does the office open?" not in text(operator.get(address))
        operator.post(address, {"post": "yes"})
        assert not Conversation.objects.filter(pk=thread.pk).exists()
        assert not Turn.objects.filter(conversation=thread.pk).exists()
        assert not Dataset.objects.filter(pk=dataset_file.dataset_id).exists()

    def test_bulk_deletion_deletes_conversations(self, operator, world, thread):
        other = factories.conversation(world.key)
        data = {"action": "delete_selected", "_selected_action": [thread.pk, other.pk], "post": "yes"}
        operator.post(url("inference_conversation_changelist", tenant=world.tenant.pk), data)
        assert not Conversation.objects.filter(pk__in=[thread.pk, other.pk]).exists()


def test_tenant_deletion_shows_counts_of_large_tables(operator, world, thread):
    factories.dataset_file(factories.dataset(world.tenant, "handbook"), filename="one-of-many.pdf")
    confirmation = text(operator.get(url("tenants_tenant_delete", world.tenant.pk)))
    assert thread.pk not in confirmation
    assert "one-of-many.pdf" not in confirmation
    assert "handbook" in confirmation
    assert "Conversations: 1" in confirmation
