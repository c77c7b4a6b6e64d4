"""What is searched for: the newest question, and with a short one the question before it."""

import pytest

from inference.chat.retrieval import question

FIRST = "How many vacation days do employees get?"


def asked(*questions: str) -> str:
    return question([{"role": "user", "content": text} for text in (FIRST, *questions)])


@pytest.mark.parametrize(
    "short",
    [
        "And for trainees?",
        "Et pour les apprentis ?",
        "Why?",
        "?",
        "为什么?",
        "那价格呢\uff1f",
        "它多少钱\uff1f",
        "それはいくらですか\uff1f",
        "返品はできますか\uff1f",
        "ราคาเท่าไร",
        "มันราคาเท่าไหร่",
        "그럼 가격은요?",
        "GPU呢\uff1f",
    ],
)
def test_short_question_is_searched_with_the_previous_one(short):
    assert asked(short) == f"{FIRST}\n{short}"
    assert asked("What is new?", short) == f"What is new?\n{short}"


@pytest.mark.parametrize(
    "whole",
    [
        "When does the office open?",
        "Rechtsschutzversicherungsgesellschaften?",
        "办公室几点开门\uff1f",
        "退款需要多长时间\uff1f",
        "GPU服务器的保修期有多长\uff1f",
        "営業時間は何時ですか\uff1f",
        "おみせはなんじにひらきますか\uff1f",
        "นโยบายการคืนสินค้าเป็นอย่างไร",
        "사무실은 몇 시에 문을 여나요?",
    ],
)
def test_long_question_is_searched_alone(whole):
    assert asked(whole) == whole
