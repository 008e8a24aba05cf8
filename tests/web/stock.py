"""One of everything: what every page of a running installation needs in order to have content.

Run as a program with the installation's environment, it makes the things through the product's own
services, on routes of their own, and prints the names under which the pages find them. Jobs that
shall still be waiting are asked for and never handed to a worker, so their pages stay as they are.
"""

from __future__ import annotations

import argparse
import copy
import json
import time
from datetime import timedelta
from typing import Any

import django
import httpx

DESK, CLAIMS, TAKEN = "returns-desk", "claims-desk", "complaints-desk"
# Routes with an active version and some traffic, for walks that change something.
FREE = ("front-desk", "night-desk", "letter-desk", "parcel-desk")
PASSWORD = "an-invented-password-of-the-tests"
CARD = "My card number is 4111 1111 1111 1111, why was the payment refused?"
QUESTIONS = (
    "How do I send a parcel back?",
    "When do I get my money?",
    "Which form do I need for a return?",
    "Three of five lamps came broken and one was missing, each cost 19.90 euros, and the voucher "
    "of ten percent was used on the first two. How much do I get back, step by step?",
)


def document(slug: str, **changed: Any) -> dict[str, Any]:
    """The demonstration's policy for another route, with groups inside a group."""
    from config.demo.seed import demo_policy

    made = demo_policy()
    made["route"] = slug
    made["rules"][1]["then"]["hold"] |= {"hold_s": 3600, "on_timeout": "pending"}
    nested = {"any": [{"topic": {"in": ["medical"]}}, {"not": {"language": {"in": ["en"]}}}]}
    made["rules"].insert(
        2,
        {
            "id": "nested",
            "name": "A group of conditions",
            "when": {"all": [{"prompt_tokens": {"gte": 900}}, nested]},
            "then": {"route": {"tier": "llm", "targets": ["stand-in-large"]}},
        },
    )
    return made | changed


def with_threshold(whole: dict[str, Any], tokens: int) -> dict[str, Any]:
    made = copy.deepcopy(whole)
    made["rules"][-1]["when"]["all"][-1] = {"prompt_tokens": {"lte": tokens}}
    return made


class Stock:
    def __init__(self, url: str) -> None:
        from accounts.models import User
        from accounts.services.people import create_person

        self.url, self.names = url, dict[str, Any]()
        for name, full, role in (
            ("wanda", "Wanda Ruiz", "author"),
            ("vera", "Vera Ito", "reviewer"),
        ):
            create_person(
                by=User.objects.get(username="sam"),
                reason="Joins the team",
                username=name,
                password=PASSWORD,
                full_name=full,
                job="Customer care",
                roles=[role],
            )
        self.people = {user.username: user for user in User.objects.all()}
        self.names["person"] = self.people["wanda"].pk
        self.names["reviewer"] = self.people["vera"].pk

    def route(self, slug: str) -> None:
        from routing.models import Backend, Route

        Route.objects.create(
            slug=slug,
            name=slug.replace("-", " ").capitalize(),
            description="Answers what customers ask after they have bought.",
            owner="support-platform",
            data_class="internal",
            capture=Route.Capture.ENCRYPTED,
            baseline=Backend.objects.get(name="stand-in-large"),
        )
        self.activated(slug, document(slug), "First policy of this route.")

    def draft(self, slug: str, whole: dict[str, Any], by: str = "arjun") -> Any:
        from routing.services import policies

        one = policies.start_draft(slug=slug, by=self.people[by], document=whole)
        return policies.get_version(slug=slug, number=one.number)

    def submitted(self, slug: str, whole: dict[str, Any], words: str, by: str = "arjun") -> Any:
        from routing.services import policies

        one = self.draft(slug, whole, by)
        return policies.submit_version(version=one, by=self.people[by], summary=words)

    def judged(
        self, slug: str, whole: dict[str, Any], words: str, *, verdict: str = "approve", **by: str
    ) -> Any:
        from routing.services import policies

        one = self.submitted(slug, whole, words, **by)
        for approver in ("petra", "pavel")[: one.approvals_needed]:
            one = policies.judge_version(
                version=one, by=self.people[approver], verdict=verdict, comment="I read all of it."
            )
        return one

    def activated(self, slug: str, whole: dict[str, Any], words: str, **by: str) -> Any:
        from routing.services import policies

        one = self.judged(slug, whole, words, **by)
        return policies.activate_version(version=one, by=self.people["olivia"], reason="Agreed")

    def versions(self) -> None:
        """A version in every state, a draft that was overtaken, and one with conflicts."""
        from django.utils import timezone

        from routing.services import policies, rebase, schedule
        from routing.services.simulation import Request

        whole = document(DESK)
        second = self.activated(DESK, with_threshold(whole, 1400), "Fewer long questions.")
        rejected = self.judged(
            DESK, with_threshold(whole, 9000), "Almost everything to small.", verdict="reject"
        )
        withdrawn = policies.withdraw_version(
            version=self.draft(DESK, with_threshold(whole, 10)),
            by=self.people["arjun"],
            reason="No",
        )
        open_one = self.submitted(DESK, with_threshold(whole, 1300), "A little fewer.")
        approved = self.judged(DESK, with_threshold(whole, 1200), "Fewer still.")
        planned = schedule.schedule_version(
            version=self.judged(DESK, with_threshold(whole, 1100), "In the next quarter."),
            at=timezone.now() + timedelta(days=20),
            by=self.people["olivia"],
            reason="After the release",
        )
        smaller = {"then": {"route": {"tier": "slm", "targets": ["smollm2-135m"]}}}
        draft = self.draft(DESK, with_threshold(whole, 4) | {"default": smaller})
        self.names |= {
            "active": second.number,
            "retired": 1,
            "rejected": rejected.number,
            "withdrawn": withdrawn.number,
            "in_review": open_one.number,
            "approved": approved.number,
            "scheduled": planned.number,
            "draft": draft.number,
        }
        for slug, key in ((CLAIMS, "overtaken"), (TAKEN, "conflicting")):
            self.route(slug)
            mine = self.draft(slug, with_threshold(document(slug), 500))
            self.activated(
                slug, with_threshold(document(slug), 700), "From somebody else.", by="wanda"
            )
            if key == "conflicting":
                mine = rebase.rebase_version(version=mine, by=self.people["arjun"])
            self.names[key] = mine.number
        self.saved_example(draft, Request)

    def saved_example(self, draft: Any, request: Any) -> None:
        from routing.services import examples

        examples.save_example(
            version=draft,
            name="A short question",
            request=request(prompt=QUESTIONS[0], data_class="internal"),
            is_invented=True,
            by=self.people["arjun"],
        )

    def traffic(self, key: str) -> None:
        """Real calls of the route, and one that waits for a person whom we let hold it."""
        from review.models import Case, ReviewerPause
        from review.services import claims
        from routing.models import Decision

        with httpx.Client(
            base_url=self.url, headers={"authorization": f"Bearer {key}"}, timeout=60
        ) as client:
            ids = [self.ask(client, QUESTIONS[n % len(QUESTIONS)]) for n in range(16)]
            held = self.ask(client, CARD)
            for slug in FREE:
                ids += [self.ask(client, text, slug) for text in QUESTIONS]
        until(lambda: Decision.objects.filter(pk__in=ids).count() == len(ids))
        until(lambda: Case.objects.filter(decision_id=held).exists())
        case = Case.objects.get(decision_id=held)
        claims.claim_case(case=case, by=self.people["vera"])
        ReviewerPause.objects.create(
            person=self.people["vera"], why="hasty", figures={"cases": 3, "within_s": 3600}
        )
        self.names |= {"decision": ids[0], "held": held, "case": str(case.pk)}

    @staticmethod
    def ask(client: httpx.Client, text: str, route: str = DESK) -> str:
        body = {"model": route, "messages": [{"role": "user", "content": text}]}
        answer = client.post("/v1/chat/completions", json=body)
        return answer.headers["x-signalbox-decision-id"]

    def backtests(self) -> None:
        from routing.models import BacktestChange
        from routing.services import backtests, policies

        draft = policies.get_version(slug=DESK, number=self.names["draft"])
        asked = backtests.request_backtest(version=draft, days=1, by=self.people["arjun"])
        done = backtests.run_backtest(backtest_id=asked.pk)
        change = BacktestChange.objects.filter(backtest=done).exclude(bucket="same")[:1].get()
        waiting = backtests.request_backtest(version=draft, days=1, by=self.people["arjun"])
        self.names |= {
            "backtest": str(done.pk),
            "bucket": change.bucket,
            "changed": str(change.decision_id),
            "waiting_backtest": str(waiting.pk),
        }

    def classifiers(self) -> None:
        from routing.models import ClassifierTraining
        from routing.services import classifiers
        from tests.routing.classifiers.conftest import a_row, as_lines

        by, rows = self.people["arjun"], as_lines([a_row(number) for number in range(160)])
        done = classifiers.request_training(name="returns", evalset=rows, by=by)
        classifiers.run_training(training_id=done.pk)
        broken = classifiers.request_training(name="broken", evalset=rows, by=by)
        classifiers.fail_training(training=broken, problem="Its worker was lost.")
        waiting = classifiers.request_training(name="returns", evalset=rows, by=by)
        if ClassifierTraining.objects.get(pk=done.pk).state != "done":
            raise RuntimeError(ClassifierTraining.objects.get(pk=done.pk).problem)
        self.names |= {
            "training": str(done.pk),
            "broken_training": str(broken.pk),
            "waiting_training": str(waiting.pk),
        }

    def governance(self) -> None:
        """A public backend with sign-offs in every state, an issued document, switches, a key."""
        from django.utils import timezone

        from accounts.services.keys import create_key
        from routing.services import data_flow, registry, signoffs
        from tests.routing.conftest import backend_fields

        olivia = self.people["olivia"]
        outside = registry.register_backend(
            by=olivia,
            name="outside",
            reason="A second opinion for hard questions",
            **backend_fields(
                tier="llm",
                boundary="public",
                data_classes=["public", "internal"],
                base_url="https://models.example/v1",
                processor="Example Models Ltd",
                processor_country="Ireland",
                processor_contract="DPA-14",
                processor_contact="privacy@models.example",
                processor_retention="not kept",
            ),
        )
        registry.store_secret(backend=outside, secret="not-a-secret", by=olivia, reason="First")
        registry.set_backend_state(backend=outside, state="active", by=olivia, reason="Agreed")
        now, made = timezone.now(), []
        for purpose in ("Hard questions", "Translations", "Summaries", "Drafts", "Letters"):
            made.append(
                signoffs.request_signoff(
                    backend=outside,
                    data_class="internal",
                    purpose=purpose,
                    risk_reference="RISK-7",
                    conditions="No names",
                    valid_from=now,
                    valid_to=now + timedelta(days=60),
                    by=olivia,
                )
            )
        approve = signoffs.approve_signoff
        petra, pavel = self.people["petra"], self.people["pavel"]
        for one in made[1:4]:
            approve(signoff=one, by=petra, reason="Looked at")
        for one in made[2:4]:
            approve(signoff=signoffs.get_signoff(one.pk), by=pavel, reason="Looked at too")
        signoffs.revoke_signoff(
            signoff=signoffs.get_signoff(made[3].pk), by=petra, reason="Not needed any more"
        )
        signoffs.refuse_signoff(signoff=made[4], by=pavel, reason="Not proportionate")
        states = ("asked", "half", "granted", "revoked", "refused")
        self.names |= {state: one.pk for state, one in zip(states, made, strict=True)}
        issue = data_flow.issue_document(by=self.people["ada"], note="For the yearly review")
        registry.engage_switch(scope="backend", target="outside", by=olivia, reason="Exercise")
        key, _ = create_key(by=olivia, reason="A second one", name="returns", owner="returns")
        self.names |= {"issue": issue.number, "key": key.public_id}

    def webhooks(self) -> None:
        from routing.services import webhooks

        made, _ = webhooks.create_endpoint(
            by=self.people["olivia"],
            client_id=self.names["key"],
            # Reserved for documents: no name server knows it.
            url="https://receiver.example/hooks/signalbox",
            events=["response.completed", "response.failed", "review.case_due"],
            description="Tells the claims desk.",
            reason="The claims desk asked for it.",
        )
        sent = webhooks.send_test(endpoint=made, by=self.people["olivia"])
        self.names["webhook"], self.names["webhook_delivery"] = str(made.pk), str(sent.pk)

    def proofs(self) -> None:
        from django.utils import timezone

        from audit import verification
        from audit.actors import Actor
        from audit.models import Event
        from audit.reports import services

        by, now = Actor.of(self.people["ada"]), timezone.now()
        period = {"period_from": now - timedelta(days=1), "period_to": now}
        done = services.request_report(**period, by=by, reason="For the yearly review")
        services.make_report(report_id=done.pk)
        waiting = services.request_report(**period, by=by, reason="Once more")
        job = verification.request(by=by, reason="Before the report")
        verification.run(verification_id=job.pk)
        event = Event.objects.filter(kind="policy.activated").latest("id")
        self.names |= {
            "report": str(done.pk),
            "waiting_report": str(waiting.pk),
            "event": str(event.pk),
        }


def until(holds: Any, timeout_s: float = 30) -> None:
    ends = time.monotonic() + timeout_s
    while not holds():
        if time.monotonic() > ends:
            raise TimeoutError("the installation did not follow")
        time.sleep(0.1)


def main() -> None:
    chosen = argparse.ArgumentParser(description=__doc__)
    chosen.add_argument("--url", required=True)
    chosen.add_argument("--key", required=True)
    given = chosen.parse_args()
    django.setup()
    stock = Stock(given.url)
    for slug in (DESK, *FREE):
        stock.route(slug)
    stock.governance()
    stock.classifiers()
    stock.traffic(given.key)
    stock.versions()
    stock.backtests()
    stock.webhooks()
    stock.proofs()
    print(json.dumps(stock.names))  # noqa: T201


if __name__ == "__main__":
    main()
