"""People: who may do what, since when, and by whom."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts import queries
from accounts.forms import PasswordForm, PersonForm, RolesForm
from accounts.models import User
from accounts.services import people as services
from screens.access import ROLES, needs
from screens.answers import status_of
from screens.errors import Conflict, DomainError, Invalid
from screens.pages import page_of, redirect_303, render_screen


@require_GET
@needs("accounts.view")
def people_list(request: HttpRequest) -> HttpResponse:
    chosen = {name: request.GET.get(name, "")[:100] for name in ("text", "role", "state")}
    page = page_of(queries.people(**chosen), request)
    context = {
        "page": page,
        "rows": queries.person_rows(page.items),
        "chosen": chosen,
        "roles": ROLES.values(),
        "is_filtered": any(chosen.values()),
    }
    return render_screen(request, "accounts/people.html", context, partial="list")


@require_GET
@needs("accounts.view")
def role_matrix(request: HttpRequest) -> HttpResponse:
    context = {"roles": list(ROLES.values()), "rows": queries.matrix()}
    return render_screen(request, "accounts/role_matrix.html", context)


@sensitive_post_parameters("password")
@require_http_methods(["GET", "HEAD", "POST"])
@needs("accounts.manage_people")
def new_person(request: HttpRequest) -> HttpResponse:
    form = PersonForm(request.POST or None)
    status = 200
    if request.method == "POST":
        status = 422
        if form.is_valid():
            try:
                person = services.create_person(by=request.user, **form.cleaned_data)
            except (Invalid, Conflict) as problem:
                field = "password" if problem.code == "password_too_weak" else None
                form.add_error(field, problem.message)
                status = status_of(problem)
            else:
                return redirect_303(request, _url(person), f"{person} is added.")
    return render_screen(request, "accounts/person_form.html", {"form": form}, status=status)


@require_GET
@needs("accounts.view")
def person_page(request: HttpRequest, pk: int) -> HttpResponse:
    return _person_page(request, queries.person_of(pk))


@require_POST
@needs("accounts.manage_people")
def change_roles(request: HttpRequest, pk: int) -> HttpResponse:
    person, form = queries.person_of(pk), RolesForm(request.POST)
    if form.is_valid():
        try:
            services.change_roles(person=person, by=request.user, **form.cleaned_data)
        except (Invalid, Conflict) as problem:
            form.add_error(None, problem.message)
            return _person_page(request, person, roles_form=form, status=status_of(problem))
        message = f"The roles of {person} are changed; the new ones hold from the next sign-in."
        return redirect_303(request, _url(person), message)
    return _person_page(request, person, roles_form=form, status=422)


@sensitive_post_parameters("password")
@require_POST
@needs("accounts.manage_people")
def set_password(request: HttpRequest, pk: int) -> HttpResponse:
    person = queries.person_of(pk)
    form = PasswordForm(request.POST, auto_id="password_%s")
    if form.is_valid():
        try:
            services.set_password(person=person, by=request.user, **form.cleaned_data)
        except (Invalid, Conflict) as problem:
            form.add_error("password", problem.message)
        else:
            return redirect_303(request, _url(person), f"{person} has a new password.")
    return _person_page(request, person, password_form=form, status=422)


@require_POST
@needs("accounts.manage_people")
def deactivate(request: HttpRequest, pk: int) -> HttpResponse:
    person, reason = queries.person_of(pk), request.POST.get("reason", "")
    try:
        services.deactivate_person(person=person, by=request.user, reason=reason)
    except (Invalid, Conflict) as problem:
        return _person_page(request, person, state_problem=problem, status=status_of(problem))
    return redirect_303(request, _url(person), f"{person} is signed out and may not return.")


@require_POST
@needs("accounts.manage_people")
def reactivate(request: HttpRequest, pk: int) -> HttpResponse:
    person, reason = queries.person_of(pk), request.POST.get("reason", "")
    try:
        services.reactivate_person(person=person, by=request.user, reason=reason)
    except (Invalid, Conflict) as problem:
        return _person_page(request, person, state_problem=problem, status=status_of(problem))
    return redirect_303(request, _url(person), f"{person} may sign in again.")


def _url(person: User) -> str:
    return reverse("person", args=[person.pk])


def _person_page(
    request: HttpRequest,
    person: User,
    *,
    roles_form: RolesForm | None = None,
    password_form: PasswordForm | None = None,
    state_problem: DomainError | None = None,
    status: int = 200,
) -> HttpResponse:
    roles = queries.roles_in(person)
    held = [role.slug for role in roles]
    context: dict[str, Any] = {
        "person": person,
        "roles": roles,
        "conflicts": queries.conflicts_in(roles),
        "permissions": queries.permissions_with_reasons(person),
        "sign_ins": queries.sign_ins_of(person),
        "changes": queries.changes_of(person),
        "is_own": person.pk == request.user.pk,
        "roles_form": roles_form or RolesForm(initial={"roles": held}),
        "password_form": password_form or PasswordForm(auto_id="password_%s"),
        "state_problem": state_problem,
    }
    return render_screen(request, "accounts/person.html", context, status=status)
