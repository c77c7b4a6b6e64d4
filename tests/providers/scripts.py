"""The providers that the conformance suite runs on: one row for each adapter in `ADAPTERS`."""

from tests.providers.fake_script import FakeScript
from tests.providers.openai_script import OpenAIScript
from tests.providers.script import ProviderScript

SCRIPTS: dict[str, ProviderScript] = {
    "openai_compatible": OpenAIScript(),
    "fake": FakeScript(),
}
