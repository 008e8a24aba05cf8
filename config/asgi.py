"""The web process: the lean live API, Django for everything else, or one of the two alone.

SIGNALBOX_ROLE=gateway loads neither screens nor their addresses; with web there is no live API.
"""

from __future__ import annotations

import os
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

import django
from django.conf import settings

django.setup()

from config import roles  # noqa: E402  (needs the app registry)

gateway = None if settings.SIGNALBOX_ROLE == "web" else roles.make_gateway()
application: Any
if gateway is None:
    application = roles.screens_alone()
elif settings.SIGNALBOX_ROLE == "gateway":
    application = roles.gateway_alone(gateway)
else:
    application = roles.both(gateway)
