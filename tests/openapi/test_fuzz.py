"""Requests made up from the description: none ends in a fault of ours, or in an answer that is not described.

`make fuzz` makes up 10,000 of them, others each time; here it is a few hundred, the same ones each time.
"""

import os
from collections import Counter

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from inference.openapi.assembly import description

CASES = int(os.environ.get("FUZZ_CASES", "0"))
CHECKS = [
    schemathesis.checks.not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
OPERATIONS = [found.ok() for found in schemathesis.openapi.from_dict(description()).get_all_operations()]
#: Those of whose requests there is something to make up: of the other ones there are only a few different ones.
VARIED = [found for found in OPERATIONS if found.body or list(found.iter_parameters())]
EACH = max(12, CASES // len(VARIED) + 1)
TRIED: Counter[str] = Counter()


def cases(operation):
    """Requests that the description allows, and ones that it does not."""
    allowed = operation.as_strategy(generation_mode=GenerationMode.POSITIVE)
    if operation not in VARIED:
        return allowed
    return allowed | operation.as_strategy(generation_mode=GenerationMode.NEGATIVE)


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.label)
def test_responses_to_random_requests_match_the_description(site, operation):
    names = st.sampled_from(["fast", "support", "no-such-model"])
    owned = {"conversations": site.conversation, "datasets": site.dataset, "vector_stores": site.dataset}
    make = owned.get(operation.path.split("/")[1])
    known_ids = st.sampled_from([make(), "none"]) if make else st.just("none")

    @settings(
        max_examples=EACH,
        deadline=None,
        database=None,
        derandomize=not CASES,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink] if CASES else [Phase.generate],
    )
    @given(case=cases(operation), name=names, known=st.booleans(), known_id=known_ids)
    def hold(case, name, known, known_id) -> None:
        # What is made up would hardly ever name something that exists.
        if known and isinstance(case.body, dict) and "model" in case.body:
            case.body = {**case.body, "model": name}
        if known and case.path_parameters and make:
            case.path_parameters = {**case.path_parameters, "id": known_id}
        if known and operation.path == "/conversations/files":
            case.headers = {**case.headers, "X-GT-Conversation-Id": site.conversation()}
        TRIED[operation.label] += 1
        case.call_and_validate(
            base_url=site.base_url, headers=site.world.authorization, checks=CHECKS, timeout=30
        )

    hold()


def test_requested_number_of_examples_was_tried():
    assert TRIED.total() >= (CASES or 200), TRIED
