"""Schema of rerank: the request and response fields that Cohere's and Jina's rerank APIs share."""

from math import isfinite
from typing import Any

from gtapi.ids import object_id
from gtapi.json_types import JSON
from gtapi.validation import Validator, integer, invalid, missing, of_type, validate, wrong_type
from inference import tokens
from inference.schemas.chat_response import count

MAX_DOCUMENTS = 2048

_CHECKS: dict[str, Validator] = {
    "query": of_type(str),
    "documents": of_type(list),
    "top_n": integer(1),
    "return_documents": of_type(bool),
    "user": of_type(str),
}


def check_rerank(body: JSON) -> None:
    """Refuse an invalid request, naming the parameter."""
    for name in ("query", "documents"):
        if body.get(name) is None:
            raise missing(name)
    validate(_CHECKS, body)
    for name in ("query", "documents"):
        if not body[name]:
            raise invalid(name, "it must not be empty")
    documents = body["documents"]
    if len(documents) > MAX_DOCUMENTS:
        raise invalid("documents", f"expected at most {MAX_DOCUMENTS} documents, but got {len(documents)}")
    for index, document in enumerate(documents):
        _check_document(f"documents[{index}]", document)


def _check_document(name: str, document: Any) -> None:
    if isinstance(document, dict):
        name, document = f"{name}.text", document.get("text")
        if document is None:
            raise missing(name)
        of_type(str)(name, document)
    elif not isinstance(document, str):
        raise wrong_type(name, "a string or an object", document)
    if not document:
        raise invalid(name, "it must not be empty")


def texts(body: JSON) -> list[str]:
    """Return the texts of the documents."""
    return [item["text"] if isinstance(item, dict) else item for item in body["documents"]]


def rerank(response: JSON, name: str, body: JSON) -> JSON | None:
    """Return the response without its usage: at most ``top_n`` results, the most relevant first.

    None unless the provider ranked as many different documents as were requested.
    """
    documents = texts(body)
    expected = min(body.get("top_n") or len(documents), len(documents))
    results = [_result(result, len(documents)) for result in response["results"]]
    ranked = sorted((result for result in results if result), key=lambda result: -result["relevance_score"])
    indexes = {result["index"] for result in ranked}
    if len(indexes) != len(results) or len(results) < expected:
        return None
    ranked = ranked[:expected]
    if body.get("return_documents"):
        # The client's own text: a provider may have shortened or changed it.
        ranked = [{**result, "document": {"text": documents[result["index"]]}} for result in ranked]
    return {"id": object_id("rerank-"), "model": name, "results": ranked}


def _result(given: Any, documents: int) -> JSON | None:
    """Return a result; None where it names no document or has no score."""
    if not isinstance(given, dict):
        return None
    index, score = given.get("index"), given.get("relevance_score")
    if type(index) is not int or not 0 <= index < documents:
        return None
    if isinstance(score, bool) or not isinstance(score, int | float) or not isfinite(score):
        return None
    return {"index": index, "relevance_score": float(score)}


def reported_usage(reported: Any) -> JSON | None:
    """Return the usage that a provider reported, or None where it reported none. Many report only the total."""
    if not isinstance(reported, dict):
        return None
    prompt, total = count(reported.get("prompt_tokens")), count(reported.get("total_tokens"))
    if not prompt and not total:
        return None
    return {"prompt_tokens": prompt or total, "total_tokens": total or prompt}


def estimate_prompt(body: JSON) -> int:
    """Return about how many tokens a model reads: the query once with each document."""
    documents = texts(body)
    return tokens.estimate(body["query"]) * len(documents) + tokens.estimate_input(documents)
