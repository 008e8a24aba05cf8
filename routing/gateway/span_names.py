"""The names that traces use: those of OpenTelemetry's conventions for generative AI, and our own.

The conventions are still moving, so the ones in use are pinned here and nowhere else. No attribute
holds a prompt, an answer, or anything that a caller wrote.
"""

from __future__ import annotations

from typing import Final

# Which release of the conventions the first block follows.
SCHEMA_URL: Final = "https://opentelemetry.io/schemas/1.37.0"

OPERATION: Final = "gen_ai.operation.name"
PROVIDER: Final = "gen_ai.provider.name"
REQUEST_MODEL: Final = "gen_ai.request.model"
RESPONSE_MODEL: Final = "gen_ai.response.model"
INPUT_TOKENS: Final = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS: Final = "gen_ai.usage.output_tokens"
ERROR_TYPE: Final = "error.type"
METHOD: Final = "http.request.method"
PATH: Final = "url.path"
STATUS: Final = "http.response.status_code"

REQUEST_ID: Final = "signalbox.request_id"
DECISION_ID: Final = "signalbox.decision_id"
ROUTE: Final = "signalbox.route"
POLICY: Final = "signalbox.policy"
RULE: Final = "signalbox.rule"
CAUSE: Final = "signalbox.cause"
OUTCOME: Final = "signalbox.outcome"
DATA_CLASS: Final = "signalbox.data_class"
BACKEND: Final = "signalbox.backend"
TIER: Final = "signalbox.tier"
BOUNDARY: Final = "signalbox.boundary"
ATTEMPT_NUMBER: Final = "signalbox.attempt.number"
ATTEMPT_KIND: Final = "signalbox.attempt.kind"

# The spans of one request; the first and the last are named "<operation> <model>".
CLASSIFY: Final = "classify"
DECIDE: Final = "decide"
RECORD: Final = "record"

OPERATIONS: Final = {
    "/v1/chat/completions": "chat",
    "/v1/messages": "chat",
    "/v1/responses": "chat",
    "/v1/embeddings": "embeddings",
}
# What answers a caller, and what we call: a backend that speaks OpenAI's API.
OURSELVES: Final = "signalbox"
BACKENDS: Final = "openai"
