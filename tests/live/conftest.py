"""Clients of the running product: plain HTTP and the unmodified OpenAI SDK."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.installation import Site


@pytest.fixture
def api(site: Site) -> Iterator[httpx.Client]:
    headers = {"authorization": f"Bearer {site.api_key}"}
    with httpx.Client(base_url=site.url, headers=headers, timeout=60) as client:
        yield client


@pytest.fixture
def openai_client(site: Site) -> Any:
    from openai import OpenAI

    return OpenAI(base_url=f"{site.url}/v1", api_key=site.api_key, max_retries=0)
