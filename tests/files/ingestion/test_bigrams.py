"""Texts written without spaces, from upload over the API to full-text search."""

import httpx
import pytest

from tests import factories
from tests.waiting import eventually

DOCUMENTS = {
    "ja.txt": "社員には年に二十八日の有給休暇があります。休暇は三月末までに取得し\nてください。",
    "zh.md": "# 办公室\n\n办公室早上八点开门，晚上六点关门。钥匙在前台。",  # noqa: RUF001 - the comma is theirs
    "th.txt": "การเบิกค่าใช้จ่ายต้องส่งใบเสร็จให้ฝ่ายบัญชีภายในสิ้นเดือน",
    "mixed.txt": "会議室のWiFiにはGuestNetを選び、受付でパスワードを聞いてください。",
    "en.txt": "The printer is out of paper.",
}


@pytest.fixture
def dataset(world):
    """A dataset that has no embedding model, which the key may use."""
    return factories.dataset(world.tenant, keys=[world.key.row])


def test_documents_without_spaces_are_found_by_words(ingest, gateway, upstream, http, dataset):
    files = []
    for name, text in DOCUMENTS.items():
        sent = http.post(f"/datasets/{dataset.pk}/files", files={"file": (name, text.encode())})
        assert sent.status_code in (200, 201, 202), sent.text
        files.append(sent.json()["id"])
    eventually(lambda: {http.get(f"/files/{id_}").json()["status"] for id_ in files} == {"ready"})

    def names(query: str) -> list[str]:
        response = http.post(f"/datasets/{dataset.pk}/search", json={"query": query})
        assert response.status_code == 200, response.text
        return [result["filename"] for result in response.json()["data"]]

    for query, name in (
        ("休暇は何日ありますか", "ja.txt"),
        ("取得して", "ja.txt"),
        ("办公室几点开门", "zh.md"),
        ("ส่งใบเสร็จที่ไหน", "th.txt"),
        ("パスワードはどこで聞けますか", "mixed.txt"),
        ("Which is the GuestNet?", "mixed.txt"),
        ("wifi", "mixed.txt"),
        ("paper for printers", "en.txt"),
    ):
        assert names(query)[0] == name, query
    assert names('"有給休暇"') == ["ja.txt"]
    assert names('"WiFiには"') == ["mixed.txt"]
    assert names('"休暇有給"') == []
    openais = http.post(f"/vector_stores/{dataset.pk}/search", json={"query": "办公室几点开门"}).json()[
        "data"
    ]
    assert openais[0]["filename"] == "zh.md"

    stranger = factories.world(upstream.base_url)
    own = factories.dataset(stranger.tenant, keys=[stranger.key.row])
    factories.chunk(factories.dataset_file(own, chunk_count=1), "石。")
    with httpx.Client(base_url=gateway.base_url, headers=stranger.authorization, timeout=30) as other:
        for query in ("有給休暇", "办公室", "ใบเสร็จ"):
            assert other.post(f"/datasets/{dataset.pk}/search", json={"query": query}).status_code == 404
            assert other.post(f"/datasets/{own.pk}/search", json={"query": query}).json()["data"] == []
