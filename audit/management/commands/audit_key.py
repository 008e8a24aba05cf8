"""Prints the verifier key: ``audit_key > key.pub``, and hand it over outside the bundle."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from audit import keys
from audit.errors import KeyUnavailable
from audit.models import SigningKey


class Command(BaseCommand):
    help = "Prints the public key that verifies checkpoints and reports (name+hash+base64)."

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            verifier = str(keys.signer().verifier)
        except KeyUnavailable:
            # Where the private key may not be read, the ledger still knows the public one.
            known = SigningKey.objects.filter(name=settings.AUDIT_ORIGIN, state="active").first()
            if known is None:
                raise CommandError(
                    "There is no signing key yet: start the sequencer once, it makes one."
                ) from None
            verifier = known.vkey
        self.stdout.write(verifier)
