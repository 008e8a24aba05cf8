"""The safe default, the classifier's absence, owner, clocks and session, each as a form."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django import forms

from routing.engine.registry import DATA_CLASSES
from routing.engine.sections import MAX_HOPS
from routing.forms.outcomes import KEEP
from routing.forms.sections import mapping_of
from routing.services.documents import Document, as_written, with_section


class AnswersForm(forms.Form):
    """The safe default, and what happens while the classifier cannot be asked."""

    text = forms.CharField(
        label="Safe default",
        required=False,
        max_length=4000,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="What the caller reads when nobody may or can answer. Blank: standing words.",
    )
    finish_reason = forms.ChoiceField(
        label="Finish reason that clients see",
        required=False,
        choices=(
            ("", "not set (stop)"),
            ("stop", "stop"),
            ("content_filter", "content_filter"),
        ),
    )

    def __init__(
        self,
        *args: Any,
        document: Document,
        backends: Iterable[Any],
        words: Mapping[str, str] | None = None,
        **kwargs: Any,
    ) -> None:
        self.document = document
        self.safe = mapping_of(document, "safe_default")
        self.failing = mapping_of(document, "on_classifier_failure")
        kwargs.setdefault("initial", {}).update(self.safe)
        super().__init__(*args, **kwargs)
        self.by_backend = {backend.name: backend.tier for backend in backends}
        for name in (*DATA_CLASSES, "default"):
            stored = self.failing.get(name)
            choices = self._choices(stored, (words or {}).get(name, ""))
            self.fields[f"failing_{name}"] = forms.ChoiceField(
                label="Every other class" if name == "default" else f"{name} data",
                required=False,
                choices=choices,
                initial=self._shown(stored),
            )

    def _choices(self, stored: Any, words: str) -> list[tuple[str, str]]:
        choices = [
            ("", "not set (the strictest outcome that could have applied)"),
            ("default", "what the default says"),
            ("hold", "hold for a person"),
            ("safe_default", "give the safe default"),
            ("refuse", "refuse"),
            *[(f"to:{name}", f"route to {name}") for name in self.by_backend],
        ]
        if self._shown(stored) == KEEP:
            choices.append((KEEP, f"as written: {words}" if words else "as it is written"))
        return choices

    def _route_to(self, name: str) -> dict[str, Any]:
        return {"route": {"tier": self.by_backend[name], "targets": [name]}}

    def _shown(self, stored: Any) -> str:
        if stored is None:
            return ""
        if isinstance(stored, str):
            return stored
        for name in self.by_backend:
            if stored == self._route_to(name):
                return f"to:{name}"
        return KEEP

    @property
    def failing_fields(self) -> list[forms.BoundField]:
        return [self[f"failing_{name}"] for name in (*DATA_CLASSES, "default")]

    def built(self) -> Document:
        cleaned = self.cleaned_data
        safe: Any = None
        if cleaned["text"]:
            safe = {**self.safe, "text": as_written(self.safe.get("text"), cleaned["text"])}
            safe.pop("finish_reason", None)
            if cleaned["finish_reason"]:
                safe["finish_reason"] = cleaned["finish_reason"]
        failing: dict[str, Any] = {}
        for name in (*DATA_CLASSES, "default"):
            chosen = cleaned[f"failing_{name}"]
            if chosen == KEEP:
                failing[name] = self.failing[name]
            elif chosen.startswith("to:"):
                failing[name] = self._route_to(chosen[3:])
            elif chosen:
                failing[name] = chosen
        changed = with_section(self.document, "safe_default", safe)
        return with_section(changed, "on_classifier_failure", failing)


class LimitsForm(forms.Form):
    """Owner, the clocks of a request, and whether a conversation stays on its tier."""

    _TRUTH = (("", "not set"), ("true", "yes"), ("false", "no"))

    owner = forms.CharField(label="Owner of the policy", max_length=200)
    deadline_ms = forms.IntegerField(
        label="Whole request, in ms",
        required=False,
        min_value=100,
        max_value=600_000,
        help_text="Blank: 30,000.",
    )
    first_token_ms = forms.IntegerField(
        label="Until the first token, in ms",
        required=False,
        min_value=100,
        max_value=600_000,
        help_text="Blank: 8,000.",
    )
    stream_idle_ms = forms.IntegerField(
        label="Between two pieces of a stream, in ms",
        required=False,
        min_value=100,
        max_value=600_000,
        help_text="Blank: 20,000.",
    )
    attempts = forms.IntegerField(
        label="Backends called at most",
        required=False,
        min_value=1,
        max_value=MAX_HOPS + 1,
        help_text="Blank: 3.",
    )
    sticky = forms.ChoiceField(
        label="A conversation stays on its tier",
        choices=_TRUTH,
        required=False,
        help_text="Not set: no.",
    )
    ttl_s = forms.IntegerField(
        label="For how long, in seconds",
        required=False,
        min_value=1,
        max_value=14_400,
        help_text="Blank: 1,800.",
    )
    may_rise = forms.ChoiceField(
        label="It may rise to the larger tier",
        choices=_TRUTH,
        required=False,
        help_text="Not set: yes.",
    )
    may_fall = forms.ChoiceField(
        label="It may fall to the small tier",
        choices=_TRUTH,
        required=False,
        help_text="Not set: no.",
    )

    LIMITS = ("deadline_ms", "first_token_ms", "stream_idle_ms", "attempts")
    SESSION = ("sticky", "ttl_s", "may_rise", "may_fall")

    def __init__(self, *args: Any, document: Document, **kwargs: Any) -> None:
        self.document = document
        session = {
            name: {True: "true", False: "false"}.get(value, value)  # type: ignore[call-overload]
            for name, value in mapping_of(document, "session").items()
        }
        kwargs["initial"] = {
            "owner": document.get("owner", ""),
            **mapping_of(document, "limits"),
            **session,
        }
        super().__init__(*args, **kwargs)

    @property
    def limit_fields(self) -> list[forms.BoundField]:
        return [self[name] for name in self.LIMITS]

    @property
    def session_fields(self) -> list[forms.BoundField]:
        return [self[name] for name in self.SESSION]

    def built(self) -> Document:
        cleaned = self.cleaned_data
        limits = {name: cleaned[name] for name in self.LIMITS if cleaned[name] is not None}
        session: dict[str, Any] = {
            name: cleaned[name] == "true"
            for name in ("sticky", "may_rise", "may_fall")
            if cleaned[name]
        }
        if cleaned["ttl_s"] is not None:
            session["ttl_s"] = cleaned["ttl_s"]
        owner = as_written(self.document.get("owner"), cleaned["owner"])
        changed = with_section(self.document, "owner", owner)
        changed = with_section(changed, "limits", limits)
        return with_section(changed, "session", session)
