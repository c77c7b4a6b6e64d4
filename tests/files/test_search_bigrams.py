"""Search by words in texts that are written without spaces, in a real PostgreSQL."""

# ruff: noqa: RUF001 - characters that look like Latin ones are what this is about

import asyncio

import pytest
from django.db import connection, transaction

from files.backends import Caller
from files.models import Chunk
from files.search import query_terms, search, statements
from files.search.sql import SQL, sql
from files.search.statements import SearchScope
from tests import factories

JAPANESE = [
    "社員には年に二十八日の有給休暇があります。休暇は三月末までに取得してください。",
    "事務所は朝八時に開き、夕方六時に閉まります。鍵は受付にあります。",
    "経費の精算は月末までに領収書を添えて経理部に提出します。",
    "プリンターの紙が詰まったときは、トナーのふたを開けてください。",
    "猫を事務所に連れてくることはできません。犬は金曜日だけです。",
]
CHINESE = [
    "员工每年享有二十八天带薪假期，假期须在三月底之前休完。",
    "办公室早上八点开门，晚上六点关门。钥匙在前台。",
    "报销须在月底之前连同发票一起交给财务部。",
    "打印机卡纸时，请打开墨盒盖，轻轻取出纸张。",
    "不可以带猫来办公室。狗只可以在星期五来。",
]
THAI = [
    "พนักงานมีวันหยุดพักร้อนปีละยี่สิบแปดวัน ต้องใช้ให้หมดก่อนสิ้นเดือนมีนาคม",
    "สำนักงานเปิดเวลาแปดโมงเช้าและปิดเวลาหกโมงเย็น กุญแจอยู่ที่แผนกต้อนรับ",
    "การเบิกค่าใช้จ่ายต้องส่งใบเสร็จให้ฝ่ายบัญชีภายในสิ้นเดือน",
    "เมื่อกระดาษติดในเครื่องพิมพ์ ให้เปิดฝาหมึกแล้วค่อยๆ ดึงกระดาษออก",
    "ห้ามนำแมวมาที่สำนักงาน ส่วนสุนัขมาได้เฉพาะวันศุกร์",
]
LAO = [
    "ພະນັກງານມີວັນພັກປະຈຳປີຊາວແປດວັນ",
    "ຫ້ອງການເປີດແປດໂມງເຊົ້າ ແລະ ປິດຫົກໂມງແລງ",
    "ຫ້າມເອົາແມວມາຫ້ອງການ",
]
KHMER = [
    "បុគ្គលិកមានថ្ងៃឈប់សម្រាកម្ភៃប្រាំបីថ្ងៃក្នុងមួយឆ្នាំ",
    "ការិយាល័យបើកនៅម៉ោងប្រាំបីព្រឹក និងបិទនៅម៉ោងប្រាំមួយល្ងាច",
    "ហាមយកសត្វឆ្មាមកការិយាល័យ",
]
BURMESE = [
    "ဝန်ထမ်းများသည် တစ်နှစ်လျှင် ခွင့်ရက် နှစ်ဆယ့်ရှစ်ရက် ရရှိသည်။",
    "ရုံးသည် မနက်ရှစ်နာရီတွင် ဖွင့်ပြီး ညနေခြောက်နာရီတွင် ပိတ်သည်။",
    "ကြောင်များကို ရုံးသို့ ခေါ်မလာရပါ။",
]


@pytest.fixture
def dataset():
    """A dataset without vectors."""
    return factories.dataset(factories.tenant())


def find(query, *datasets, tenant=None, **more):
    caller = Caller((tenant or datasets[0].tenant).pk, 0, "req_test")
    results = asyncio.run(search(caller, [dataset.pk for dataset in datasets], query, **more))
    return [result.text for result in results]


@pytest.mark.parametrize(
    ("texts", "questions"),
    [
        (JAPANESE, ["休暇は何日ありますか", "事務所は何時に開きますか？", "領収書はどこに提出すればいいですか",
                    "プリンターに紙が詰まりました", "猫は連れて行けますか"]),
        (CHINESE, ["我有几天假期？", "办公室几点开门", "发票要交给谁？", "打印机卡住了怎么办", "我的猫能来吗"]),
        (THAI, ["มีวันหยุดพักร้อนกี่วัน", "สำนักงานเปิดกี่โมง", "ส่งใบเสร็จที่ไหน", "เครื่องพิมพ์กระดาษติด", "นำแมวมาได้ไหม"]),
        (LAO, ["ມີວັນພັກຈັກວັນ", "ຫ້ອງການເປີດຈັກໂມງ", "ເອົາແມວມາໄດ້ບໍ"]),
        (KHMER, ["ថ្ងៃឈប់សម្រាកប៉ុន្មានថ្ងៃ", "ការិយាល័យបើកម៉ោងប៉ុន្មាន", "យកសត្វឆ្មាមកបានទេ"]),
        (BURMESE, ["ခွင့်ရက်ဘယ်နှစ်ရက်ရသလဲ", "ရုံးဘယ်အချိန်ဖွင့်သလဲ", "ကြောင်ခေါ်လာလို့ရလား"]),
    ],
    ids=["japanese", "chinese", "thai", "lao", "khmer", "burmese"],
)  # fmt: skip
def test_natural_question_finds_the_matching_chunk(dataset, shelf, texts, questions):
    shelf(dataset, *texts)
    assert [find(question, dataset)[0] for question in questions] == texts


def test_dataset_with_vectors_is_also_searched_by_words(shelf, own_embedder):
    embedded = factories.dataset(factories.tenant(), embedding="embedder")
    shelf(embedded, *JAPANESE)
    assert find("領収書", embedded, mode="text") == [JAPANESE[2]]
    assert find("領収書", embedded)[0] == JAPANESE[2]


def test_single_character_is_found_anywhere(dataset, shelf):
    shelf(dataset, "京", "京都", "東京", "大阪", "ไปน้ำตก", "ไปตลาด")
    assert set(find("京", dataset)) == {"京", "京都", "東京"}
    assert find("น้ำ", dataset) == ["ไปน้ำตก"]


def test_character_matches_next_to_different_neighbours(dataset, shelf):
    shelf(dataset, "その猫が鳴く。", "その車が走る。")
    assert find("猫はどこ", dataset)[0] == "その猫が鳴く。"


def test_words_of_other_scripts_are_found_without_spaces_around_them(dataset, shelf):
    laptop, plain = "2024年度はGPU搭載のノートPCを「Buying guides」で選ぶ", "A guide to the GPU."
    shelf(dataset, laptop, plain, "Nothing.")
    for question in ("2024", "PC", "ノート", "年度", "the guide we buy by"):
        assert find(question, dataset)[0] == laptop, question
    assert set(find("GPU", dataset)) == {laptop, plain}
    assert find("GP", dataset) == []


def test_full_width_and_half_width_letters_are_equal(dataset, shelf):
    shelf(dataset, "ＧＰＵを搭載", "ｶﾞｲﾄﾞﾌﾞｯｸ", "㈱山田", "GPU")
    assert set(find("gpu", dataset)) == set(find("ＧＰＵ", dataset)) == {"ＧＰＵを搭載", "GPU"}
    assert find("ガイド", dataset) == ["ｶﾞｲﾄﾞﾌﾞｯｸ"]
    assert find("株", dataset) == ["㈱山田"]


def test_quoted_phrase_is_required(dataset, shelf):
    shelf(dataset, "東京都の天気", "京都の東の天気", "第3章の表", "第4章から第13章まで")
    assert find('"東京" 天気', dataset) == ["東京都の天気"]
    assert find("\u201c東京都の天気\u201d", dataset) == ["東京都の天気"]
    assert set(find('"天気"', dataset)) == {"東京都の天気", "京都の東の天気"}
    assert find('"第3章"', dataset) == ["第3章の表"]
    assert set(find('"章"', dataset)) == {"第3章の表", "第4章から第13章まで"}
    assert find('"東 天気"', dataset) == []


@pytest.mark.parametrize("part", ["、", "。", "」「", "・", "：", " ", "\u3000", "～", "\n\n"])
def test_punctuation_separates(dataset, shelf, part):
    shelf(dataset, f"東京{part}大阪", "京大")
    assert find('"京大"', dataset) == ["京大"]
    assert find("大阪", dataset)[0] == f"東京{part}大阪"


def test_line_break_does_not_split_words(dataset, shelf):
    shelf(dataset, "領\n収書と請\r\n  求書", "สำนัก\u200bงาน", "Kettle\n収 \n\n納")
    for question in ("領収書", "請求書"):
        assert find(f'"{question}"', dataset) == ["領\n収書と請\r\n  求書"]
    assert find('"สำนักงาน"', dataset) == ["สำนัก\u200bงาน"]
    assert find('"収納"', dataset) == []


def test_relevance_is_the_matched_share_of_the_question(dataset, shelf):
    shelf(dataset, *JAPANESE)
    caller = Caller(dataset.tenant_id, 0, "")
    results = asyncio.run(search(caller, [dataset.pk], "有給休暇"))
    assert (results[0].text, results[0].relevance) == (JAPANESE[0], 1)
    results = asyncio.run(search(caller, [dataset.pk], "社長の有給休暇の日程"))
    assert 0 < results[0].relevance < 1


def test_long_question_is_searched_by_its_indexed_terms(dataset, shelf):
    """Even if its other terms are rarer than the indexed ones."""
    kettle = "Kettles stand in the kitchen."
    shelf(dataset, *JAPANESE, kettle)
    beyond = "".join(map(chr, range(0x5000, 0x5000 + 30)))
    assert find(f"{beyond}、領収書はどこ、{beyond}", dataset)[0] == JAPANESE[2]
    words_beyond = " ".join(f"word{number}" for number in range(60))
    assert find(f"{words_beyond} kettle", dataset) == [kettle]


def test_other_tenant_finds_nothing(dataset, shelf):
    shelf(dataset, *JAPANESE, *THAI)
    intruder = factories.tenant()
    own = factories.dataset(intruder)
    shelf(own, "石。")
    for mode in ("hybrid", "vector", "text"):
        for question in ("領収書", "猫", '"有給休暇"', "สำนักงาน"):
            assert find(question, own, dataset, tenant=intruder, mode=mode) == []


@pytest.mark.parametrize(
    "text",
    ["ก" + "\u0e49" * 5000, "\u0e49" * 50, "東" * 20_000, "a東b京" * 5_000, "東'京\\大\"阪", "ｔｈｅ", "\U0002a6d6\U0002a6d6",
     "猫\u200d\U0001f408\ufe0f", "\u17d2\u1780", "：", "東\ud800京", "' | 東 & !京:*", "々々〆〇",
     f"社員 {'Ⱥ' * 682}b", f"社員 {'Ⱥ' * 683}", "".join(chr(0x20000 + number * 7919 % 40_000) for number in range(150_000))],
    ids=range(16),
)  # fmt: skip
def test_any_text_is_stored_and_any_question_is_answered(dataset, shelf, text):
    shelf(dataset, text.replace("\ud800", "?"), "Other.")
    assert "Other." not in find(text, dataset)
    assert "Other." not in find(f'"{text}"', dataset)


def test_question_and_text_have_the_same_bigrams(dataset, shelf):
    """Each pair of neighbouring characters, and each single character."""
    shelf(dataset, "東京。猫")
    parsed_query = query_terms.parse_query("東京。猫", SQL("SELECT ''::tsvector AS words"))
    assert {str(word.term) for word in parsed_query.terms} == {"'東京'", "'東':*", "'京':*", "'猫':*"}
    bigrams = Chunk.objects.get(dataset=dataset).bigrams
    assert bigrams == "'京':2 '東京':1 '猫':3"


# What costs others nothing


def test_texts_in_scripts_with_spaces_have_no_bigrams(dataset, shelf):
    shelf(dataset, "The office “opens” at eight.", "Кошка спит.", "한국어는 띄어 씁니다.", "Ω ½ ﬁ", "猫")
    bigrams = Chunk.objects.filter(dataset=dataset).order_by("id").values_list("bigrams", flat=True)
    assert list(bigrams) == [None, None, None, None, "'猫':1"]
    assert find("한국어는", dataset) == ["한국어는 띄어 씁니다."]


@pytest.mark.parametrize("question", ["office", "領収書"])
def test_search_uses_the_index_of_each_column(dataset, shelf, question):
    shelf(dataset, *JAPANESE)
    scope = SearchScope(dataset.tenant_id, (dataset.pk,), SQL("TRUE"))
    parsed_query = query_terms.parse_query(question, scope.sample(len(JAPANESE)))
    explained = sql(
        "EXPLAIN SELECT c.id FROM files_chunk c WHERE {}", statements.matching(parsed_query, len(JAPANESE))
    )
    with transaction.atomic(), connection.cursor() as cursor:
        # So few rows are read sooner than looked up.
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute(explained.text, explained.values)
        query_plan = str(cursor.fetchall())
    assert "files_chunk_words" in query_plan
    assert "files_chunk_bigrams" in query_plan
