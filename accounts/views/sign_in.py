"""In and out, and one's own password."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth import login, logout, update_session_auth_hash
from django.contrib.auth.forms import AuthenticationForm
from django.http import HttpRequest, HttpResponse
from django.shortcuts import resolve_url
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from accounts.forms import OwnPasswordForm
from accounts.services import access, people
from screens.access import needs, open_to_all
from screens.errors import Invalid
from screens.pages import redirect_303, render_screen


@sensitive_post_parameters("password")
@require_http_methods(["GET", "HEAD", "POST"])
@open_to_all
def sign_in(request: HttpRequest) -> HttpResponse:
    goes_to = _safe_next(request)
    if request.user.is_authenticated and request.method != "POST":
        return redirect_303(request, goes_to)
    form = AuthenticationForm(request, request.POST if request.method == "POST" else None)
    context = {"form": form, "next": request.POST.get("next") or request.GET.get("next", "")}
    if request.method != "POST":
        return render_screen(request, "registration/login.html", context)
    username, address = request.POST.get("username", ""), access.address_of(request)
    try:
        access.begin_attempt(username=username, address=address)
    except access.TooManyTries as problem:
        answer = render_screen(
            request, "accounts/too_many_tries.html", {"problem": problem}, status=429
        )
        answer["Retry-After"] = str(int(access.WINDOW.total_seconds()))
        return answer
    if not form.is_valid():
        return render_screen(request, "registration/login.html", context, status=422)
    login(request, form.get_user())
    access.clear_attempts(username=username, address=address)
    return redirect_303(request, goes_to)


@require_POST
@open_to_all
def sign_out(request: HttpRequest) -> HttpResponse:
    logout(request)
    return redirect_303(request, settings.LOGOUT_REDIRECT_URL, "You are signed out.")


@sensitive_post_parameters()
@require_http_methods(["GET", "HEAD", "POST"])
@needs()
def own_password(request: HttpRequest) -> HttpResponse:
    form = OwnPasswordForm(request.POST or None)
    if form.is_valid():
        try:
            person = people.change_own_password(by=request.user, **form.cleaned_data)
        except Invalid as problem:
            form.add_error("old" if problem.code == "password_wrong" else "new", problem.message)
        else:
            update_session_auth_hash(request, person)
            return redirect_303(request, "preferences", "Your password is changed.")
    status = 422 if request.method == "POST" else 200
    return render_screen(request, "accounts/own_password.html", {"form": form}, status=status)


def _safe_next(request: HttpRequest) -> str:
    wanted = request.POST.get("next") or request.GET.get("next", "")
    is_ours = url_has_allowed_host_and_scheme(
        wanted, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    return wanted if is_ours else resolve_url(settings.LOGIN_REDIRECT_URL)
