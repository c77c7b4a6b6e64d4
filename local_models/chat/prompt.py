"""Renders a conversation as a few-shot prompt for a base model.

The model is not instruction-tuned. Two example conversations show it the expected form: answers of one line,
taken from the context if there is one. They come first, so that the engine can cache them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

#: Stop sequences, without which the model continues with the next question.
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
class ChatMessage:
    """A message: its role, as in OpenAI's API, and its text."""

    role: str
    text: str


def render_prompt(messages: Sequence[ChatMessage]) -> str:
    """Return the prompt; all instructions come first, as context."""
    instructions = [
        message.text for message in messages if message.role in ("system", "developer") and message.text
    ]
    lines = ["Context: ", "\n".join(instructions) or DEFAULT_INSTRUCTIONS, "\n\n"]
    for message in messages:
        if message.role == "user":
            lines.append(f"Question: {message.text}\n")
        elif message.role in ("tool", "function"):
            lines.append(f"Context: {message.text}\n")
        elif message.role == "assistant" and message.text:
            lines.append(f"Answer: {message.text}\n\n")
    return EXAMPLES + "".join(lines) + "Answer:"
