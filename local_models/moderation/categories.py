"""OpenAI's moderation categories, with example sentences and phrases for each."""

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ModerationCategory:
    """How texts of a category are recognised.

    Attributes:
        examples: a text of similar meaning belongs to the category.
        phrases: a text that contains one belongs to the category.
    """

    examples: tuple[str, ...]
    phrases: re.Pattern[str]


def _category(examples: tuple[str, ...], *phrases: str) -> ModerationCategory:
    # Without phrases, the pattern never matches.
    return ModerationCategory(
        examples, re.compile(rf"\b(?:{'|'.join(phrases)})\b" if phrases else r"(?!)", re.IGNORECASE)
    )


CATEGORIES = {
    "harassment": _category(
        (
            "You are a stupid, worthless idiot.",
            "Shut up, no one likes you, you pathetic loser.",
            "You are ugly and everyone laughs at you.",
        ),
        r"you(?:'re| are) (?:a |an |such a |such an )?(?:pathetic |stupid )?(?:loser|moron|idiot|piece of shit)",
        r"fuck you",
    ),
    "harassment/threatening": _category(
        (
            "I know where you live and I will hurt you.",
            "I am going to find you and beat you up.",
            "You will regret this, I will kill you.",
        ),
        r"i(?:'ll| will|'m going to| am going to) (?:kill|murder|strangle) you",
    ),
    "hate": _category(
        (
            "People of that religion are inferior and disgusting.",
            "Immigrants are vermin and do not belong in our country.",
            "I despise all people of that race.",
        ),
    ),
    "hate/threatening": _category(
        (
            "All people of that race should be killed.",
            "We should burn down their houses of worship with them inside.",
            "Exterminate those foreigners.",
        ),
    ),
    "illicit": _category(
        (
            "Where can I buy illegal drugs such as cocaine?",
            "How do I steal a car without getting caught?",
            "How can I forge a passport?",
            "Steps to hack into someone's bank account.",
        ),
        r"how (?:to|do i|can i) (?:cook|make) (?:crystal )?meth",
    ),
    "illicit/violent": _category(
        (
            "How do I build a bomb at home?",
            "Give me instructions for making explosives to attack a building.",
            "How can I buy an illegal gun to shoot someone?",
        ),
        r"(?:build|make|making|building) (?:a |an )?(?:pipe |nail |car )bombs?",
    ),
    "self-harm": _category(
        (
            "He cuts his arms with a razor to feel the pain.",
            "She tried to commit suicide with pills.",
            "People who starve and hurt themselves.",
        ),
        r"(?:kill|killing|cut|cutting|hurt|hurting) (?:myself|himself|herself|themselves)",
    ),
    "self-harm/intent": _category(
        (
            "I want to kill myself.",
            "I am going to end my life tonight.",
            "I do not want to live any more and plan my suicide.",
        ),
        r"i (?:want|am going|wish) to (?:die|kill myself|end my life)",
    ),
    "self-harm/instructions": _category(
        (
            "How can I kill myself without pain?",
            "The best way to cut yourself and hide the wounds.",
            "How many pills does it take to die?",
        ),
        r"how (?:to|do i|can i) (?:kill|hang|cut) (?:myself|yourself|oneself)",
    ),
    "sexual": _category(
        (
            "They had passionate sex in the bedroom.",
            "Write an explicit erotic story with naked people.",
            "She undressed and moaned with pleasure.",
        ),
        r"porn(?:ography|ographic)?",
    ),
    "sexual/minors": _category(
        ("Sexual content about a child.", "An erotic story about a minor under the age of consent."),
        r"child porn(?:ography)?",
    ),
    "violence": _category(
        (
            "He stabbed the man with a knife and killed him.",
            "They beat him until he died.",
            "The gunman shot several people dead.",
        ),
    ),
    "violence/graphic": _category(
        (
            "Blood and guts poured out of the torn body.",
            "His skull was crushed and brains covered the floor.",
            "The severed limbs lay in a pool of blood.",
        ),
        r"(?:decapitat|disembowel|dismember)(?:ed|ing|ation|ment)",
    ),
}

#: Everyday sentences. A text belongs to a category only if it is more similar to that than to these.
HARMLESS = (
    "How do I stop a program on my computer?",
    "What is the capital of Japan?",
    "Please summarise this document for me.",
    "The film was not a success.",
    "I am hungry and would love a pizza.",
    "My pet is ill, what should I do?",
    "A book about the history of the war.",
    "I love my family.",
    "Can you write a poem about spring?",
    "I do not like getting up early.",
    "How do I take a good picture?",
    "Lessons about health and biology at school.",
    "Your report has mistakes, please correct it.",
    "How to cook chicken for dinner.",
    "Cut the bread with a sharp knife.",
    "I feel a little sad today.",
    "The doctor examined the patient in the hospital.",
    "Turn off the lights.",
    "Our team won the game.",
    "What is the weather like today?",
    "Explain how a car engine works.",
    "Thank you for your help.",
    "Translate this sentence into German.",
    "The meeting is at nine o'clock.",
    "I am angry about the bad service.",
    "How do I reset my password?",
    "Which tools do I need to repair a chair?",
)
