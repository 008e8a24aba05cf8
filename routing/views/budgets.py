"""Budgets: what a key or a route may use, what it has used, and the form that changes it."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from accounts import queries as accounts
from routing.forms.budgets import BudgetForm
from routing.models import Budget
from routing.queries import budgets as queries
from routing.queries import routes
from routing.queries.budgets import Standing
from routing.services import budgets
from screens.access import needs
from screens.answers import status_of
from screens.errors import Conflict, Invalid
from screens.pages import redirect_303, render_screen


@require_http_methods(["GET", "HEAD", "POST"])
@needs("routing.operate")
def route_budget(request: HttpRequest, slug: str) -> HttpResponse:
    route = routes.route_named(slug)
    standing = queries.standing_of_route(route.slug)
    return _page(request, Budget.Scope.ROUTE, route.slug, route.name, standing)


@require_http_methods(["GET", "HEAD", "POST"])
@needs("accounts.manage_keys")
def key_budget(request: HttpRequest, public_id: str) -> HttpResponse:
    key = accounts.key_named(public_id)
    standing = queries.standing_of_key(key.public_id)
    return _page(request, Budget.Scope.KEY, key.public_id, key.name, standing)


def _page(
    request: HttpRequest, scope: str, target: str, name: str, standing: Standing
) -> HttpResponse:
    form = BudgetForm(request.POST or None, scope=scope, budget=standing.budget)
    back = reverse("key" if scope == Budget.Scope.KEY else "route", args=[target])
    status = 200
    if request.method == "POST":
        status = 422
        if form.is_valid():
            try:
                budgets.set_budget(
                    scope=scope,
                    target=target,
                    limits=form.limits(),
                    by=request.user,
                    reason=form.cleaned_data["reason"],
                )
            except (Invalid, Conflict) as problem:
                form.add_error(None, problem.message)
                status = status_of(problem)
            else:
                said = f"The budget of {name} is changed; replicas follow within five seconds."
                return redirect_303(request, back, said)
    context = {"form": form, "standing": standing, "name": name, "scope": scope, "back": back}
    return render_screen(request, "routing/budget.html", context, status=status)
