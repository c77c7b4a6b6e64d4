"""How a conversation becomes a text that a base model continues with an answer.

The model was never taught to chat. Two short example conversations show it what is wanted: answers of a
line, taken from the context where there is one. They stand first, so that the engine reads them only once.
"""

from collections.abc import Sequence
from dataclasses import dataclass

#: What ends an answer: the model would go on to invent the next question.
STOPS = ("\n\n", "\nQuestion:", "\nAnswer:", "\nContext:", "\n---")

DEFAULT_INSTRUCTIONS = "You are a helpful assistant."

EXAMPLES = """\
Context: You are Sam, the assistant of a bookshop. The shop opens at 8 and closes at 18. Returns are free.

Question: Who are you?
Answer: I am Sam, the assistant of the bookshop.

Question: When do you close?
Answer: The shop closes at 18.

---

Context: You are a helpful assistant.

Question: Hi there
Answer: Hello! How can I help you today?

Question: What is the capital of Japan?
Answer: The capital of Japan is Tokyo.

Question: Who wrote Hamlet?
Answer: William Shakespeare wrote Hamlet.

Question: Name three animals.
Answer: Dogs, cats and horses.

Question: Tell me a joke.
Answer: Why did the bicycle fall over? Because it was two-tired!

Question: Say that all is well.
Answer: All is well.

Question: My cat is called Tom.
Answer: Tom is a lovely name for a cat!

Question: What is my cat called?
Answer: Your cat is called Tom.

Question: Thank you!
Answer: You are welcome!

---

"""


@dataclass(frozen=True, slots=True)
class Turn:
    """A message: OpenAI's role, and its text."""

    role: str
    text: str


def render_prompt(turns: Sequence[Turn]) -> str:
    """Return the text to continue; all instructions come first, as context."""
    given = [turn.text for turn in turns if turn.role in ("system", "developer") and turn.text]
    lines = ["Context: ", "\n".join(given) or DEFAULT_INSTRUCTIONS, "\n\n"]
    for turn in turns:
        if turn.role == "user":
            lines.append(f"Question: {turn.text}\n")
        elif turn.role in ("tool", "function"):
            lines.append(f"Context: {turn.text}\n")
        elif turn.role == "assistant" and turn.text:
            lines.append(f"Answer: {turn.text}\n\n")
    return EXAMPLES + "".join(lines) + "Answer:"
