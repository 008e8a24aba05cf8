"""What a rule does, as a form: one action, and only the fields that belong to it are read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from django import forms

from routing.engine.registry import DATA_CLASSES
from routing.services.documents import as_written, plain_number

ACTIONS = (
    ("route", "Route to a backend"),
    ("escalate", "Escalate to a larger backend"),
    ("hold", "Hold for a person"),
    ("safe_default", "Give the safe default"),
    ("refuse", "Refuse"),
)
_TIERS = (("", "as the targets"), ("slm", "SLM (small)"), ("llm", "LLM (larger)"))
_TRUTH = (("", "not set (yes)"), ("true", "yes"), ("false", "no"))
_INSTEAD = (
    ("", "not set (the policy's safe default)"),
    ("hold", "hold for a person"),
    ("refuse", "refuse"),
    ("safe_default", "give the safe default"),
    ("next", "go on with the next rule"),
)
KEEP = "keep"
ROOM = 2


def backend_choices(known: Iterable[Any], used: Iterable[str] = ()) -> list[tuple[str, str]]:
    """Every registered backend with what tells it apart, and used names that are not registered."""
    choices = [(b.name, f"{b.name} ({b.tier.upper()}, {b.boundary})") for b in known]
    names = {name for name, _ in choices}
    missing = [name for name in dict.fromkeys(used) if name not in names]
    return choices + [(name, f"{name} (not registered)") for name in missing]


class OutcomeForm(forms.Form):
    """The `then` of a rule or of the default. Blank fields are left out of the document."""

    action = forms.ChoiceField(label="What happens", choices=ACTIONS, widget=forms.RadioSelect)
    tier = forms.ChoiceField(label="Tier", choices=_TIERS, required=False)
    on_no_target = forms.ChoiceField(
        label="When no target may take it", choices=_INSTEAD, required=False
    )
    deadline_ms = forms.IntegerField(
        label="Deadline in ms",
        required=False,
        min_value=100,
        max_value=600_000,
        help_text="Blank: the policy's.",
    )
    max_cost_usd = forms.DecimalField(
        label="Most it may cost in USD", required=False, min_value=0, max_value=1000
    )
    sticky = forms.ChoiceField(
        label="The session may stay on its tier", choices=_TRUTH, required=False
    )
    shadow = forms.ChoiceField(label="Shadow versions see it", choices=_TRUTH, required=False)
    queue = forms.SlugField(label="Queue", required=False, max_length=63)
    hold_s = forms.IntegerField(
        label="Wait at most, in seconds", required=False, min_value=1, max_value=86_400
    )
    on_timeout = forms.ChoiceField(
        label="When nobody came",
        required=False,
        choices=(
            ("safe_default", "give the safe default"),
            ("refuse", "refuse"),
            ("pending", "answer later"),
        ),
    )
    candidate = forms.ChoiceField(label="Draft answer for the reviewer from", required=False)
    cap_pct = forms.DecimalField(
        label="Hold at most this share of requests, in percent",
        required=False,
        min_value=0,
        max_value=100,
    )
    over_cap = forms.ChoiceField(
        label="Beyond that share",
        required=False,
        choices=(
            ("", "not set (safe default)"),
            ("safe_default", "give the safe default"),
            ("refuse", "refuse"),
            ("next", "go on with the next rule"),
        ),
    )
    safe_text = forms.CharField(
        label="Text",
        required=False,
        max_length=4000,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text="Blank: the policy's safe default.",
    )
    safe_reason = forms.ChoiceField(
        label="Finish reason",
        required=False,
        choices=(("", "not set (stop)"), ("stop", "stop"), ("content_filter", "content_filter")),
    )
    message = forms.CharField(
        label="Message to the caller", required=False, max_length=500, help_text="Blank: standing."
    )
    data_class = forms.ChoiceField(label="Raise the data class to", required=False)

    # Which fields belong to which action; the template shows them beside it.
    OF_ACTION = {
        "route": ("tier", "targets", "on_no_target"),
        "hold": ("queue", "hold_s", "on_timeout", "candidate", "cap_pct", "over_cap"),
        "safe_default": ("safe_text", "safe_reason"),
        "refuse": ("message",),
    }

    def __init__(
        self,
        *args: Any,
        then: Mapping[str, Any] | None,
        backends: Iterable[Any],
        allow_next: bool = True,
        **kwargs: Any,
    ) -> None:
        self.then: Mapping[str, Any] = then if isinstance(then, Mapping) else {}
        kwargs["initial"] = {**initial_of(self.then), **(kwargs.get("initial") or {})}
        super().__init__(*args, **kwargs)
        used = [*_targets_of(self.then), *_candidate_of(self.then)]
        choices = backend_choices(backends, used)
        self.fields["candidate"].choices = [("", "none"), *choices]
        classes = [(name, name) for name in DATA_CLASSES]
        self.fields["data_class"].choices = [("", "not raised"), *classes]
        self._choose_instead(allow_next)
        self.places = max(3, len(_targets_of(self.then)) + ROOM)
        for place in range(self.places):
            self.fields[f"target_{place}"] = forms.ChoiceField(
                label=f"Target {place + 1}",
                required=False,
                choices=[("", "–"), *choices],  # noqa: RUF001
            )

    def _choose_instead(self, allow_next: bool) -> None:
        choices = [one for one in _INSTEAD if allow_next or one[0] != "next"]
        if isinstance(self.then.get("on_no_target"), Mapping):
            choices.append((KEEP, "as it is written (see the rule in English)"))
        self.fields["on_no_target"].choices = choices
        if not allow_next:
            self.fields["over_cap"].choices = [
                one for one in self.fields["over_cap"].choices if one[0] != "next"
            ]

    @property
    def target_fields(self) -> list[forms.BoundField]:
        return [self[f"target_{place}"] for place in range(self.places)]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        action = cleaned.get("action")
        if action in ("route", "escalate"):
            if not self._chosen() and not cleaned.get("tier"):
                self.add_error("target_0", "Choose a tier, or at least one target.")
            if len(set(self._chosen())) != len(self._chosen()):
                self.add_error("target_0", "Each target is listed once.")
        if action == "hold":
            for name in ("queue", "hold_s", "on_timeout"):
                if name not in self.errors and not cleaned.get(name):
                    self.add_error(name, "A hold needs this.")
        return cleaned

    def _chosen(self) -> list[str]:
        names = (self.cleaned_data.get(f"target_{place}") for place in range(self.places))
        return [name for name in names if name]

    def outcome(self) -> dict[str, Any]:
        """The `then`; what was not changed stays as it was written."""
        cleaned = self.cleaned_data
        action = cleaned["action"]
        made: dict[str, Any] = {action: getattr(self, f"_{_builder(action)}")()}
        if cleaned["data_class"]:
            made["data_class"] = cleaned["data_class"]
        if action in ("route", "escalate"):
            self._add_modifiers(made)
        return made

    def _add_modifiers(self, made: dict[str, Any]) -> None:
        cleaned = self.cleaned_data
        if cleaned["on_no_target"] == KEEP:
            made["on_no_target"] = self.then["on_no_target"]
        elif cleaned["on_no_target"]:
            made["on_no_target"] = cleaned["on_no_target"]
        if cleaned["deadline_ms"] is not None:
            made["deadline_ms"] = cleaned["deadline_ms"]
        if cleaned["max_cost_usd"] is not None:
            made["max_cost_usd"] = plain_number(cleaned["max_cost_usd"])
        for name in ("sticky", "shadow"):
            if cleaned[name]:
                made[name] = cleaned[name] == "true"

    def _to_route(self) -> dict[str, Any]:
        made: dict[str, Any] = {}
        if self.cleaned_data["tier"]:
            made["tier"] = self.cleaned_data["tier"]
        if targets := self._chosen():
            made["targets"] = targets
        return made

    def _to_hold(self) -> dict[str, Any]:
        cleaned = self.cleaned_data
        made = {name: cleaned[name] for name in ("queue", "hold_s", "on_timeout")}
        for name in ("candidate", "over_cap"):
            if cleaned[name]:
                made[name] = cleaned[name]
        if cleaned["cap_pct"] is not None:
            made["cap_pct"] = plain_number(cleaned["cap_pct"])
        return made

    def _to_safe_default(self) -> Any:
        cleaned = self.cleaned_data
        if not cleaned["safe_text"]:
            return True
        before = self.then.get("safe_default")
        text = before.get("text") if isinstance(before, Mapping) else None
        made = {"text": as_written(text, cleaned["safe_text"])}
        if cleaned["safe_reason"]:
            made["finish_reason"] = cleaned["safe_reason"]
        return made

    def _to_refuse(self) -> Any:
        message = self.cleaned_data["message"]
        before = self.then.get("refuse")
        text = before.get("message") if isinstance(before, Mapping) else None
        return {"message": as_written(text, message)} if message else True


def _builder(action: str) -> str:
    return "to_route" if action == "escalate" else f"to_{action}"


def _targets_of(then: Mapping[str, Any]) -> list[str]:
    for action in ("route", "escalate"):
        body = then.get(action)
        if isinstance(body, Mapping) and isinstance(body.get("targets"), list):
            return [str(name) for name in body["targets"]]
    return []


def _candidate_of(then: Mapping[str, Any]) -> list[str]:
    hold = then.get("hold")
    return [str(hold["candidate"])] if isinstance(hold, Mapping) and hold.get("candidate") else []


def initial_of(then: Mapping[str, Any]) -> dict[str, Any]:
    """What the form shows for a stored outcome."""
    action = next((name for name, _ in ACTIONS if name in then), "route")
    body = then.get(action)
    shown: dict[str, Any] = {"action": action, "data_class": then.get("data_class", "")}
    if isinstance(body, Mapping):
        if action in ("route", "escalate"):
            shown["tier"] = body.get("tier", "")
        elif action == "safe_default":
            shown |= {"safe_text": body.get("text"), "safe_reason": body.get("finish_reason", "")}
        else:
            shown |= body
    for place, name in enumerate(_targets_of(then)):
        shown[f"target_{place}"] = name
    instead = then.get("on_no_target", "")
    shown["on_no_target"] = KEEP if isinstance(instead, Mapping) else instead
    for name in ("deadline_ms", "max_cost_usd"):
        if name in then:
            shown[name] = then[name] if isinstance(then[name], int) else Decimal(str(then[name]))
    if isinstance(shown.get("cap_pct"), float):
        shown["cap_pct"] = Decimal(str(shown["cap_pct"]))
    for name in ("sticky", "shadow"):
        shown[name] = {True: "true", False: "false"}.get(then.get(name), "")
    return shown
