"""What every answer carries: a request id, the browser's limits, and a readable no."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from django.contrib.auth.middleware import LoginRequiredMiddleware
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.utils.cache import patch_vary_headers

from screens import answers, request_id
from screens.access import ask_to_sign_in
from screens.errors import DomainError

GetResponse = Callable[[HttpRequest], HttpResponse]

CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)

SECURITY_HEADERS: Final[dict[str, str]] = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": (
        "accelerometer=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), "
        "magnetometer=(), microphone=(), payment=(), usb=()"
    ),
    # Pages show who asked what: no shared cache and no back-button copy after signing out.
    "Cache-Control": "no-store",
}


class RequestIdMiddleware:
    """Takes `x-request-id` in, or makes one, and gives it back on the answer."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        chosen = request_id.accept(request.headers.get("x-request-id"))
        request.request_id = chosen  # type: ignore[attr-defined]
        token = request_id.enter(chosen)
        try:
            answer = self.get_response(request)
        finally:
            request_id.leave(token)
        answer["x-request-id"] = chosen
        return answer


class ContentSecurityPolicyMiddleware:
    """Sets the browser's limits where a view has not set its own."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        answer = self.get_response(request)
        for name, value in SECURITY_HEADERS.items():
            answer.headers.setdefault(name, value)
        if answer.get("Content-Type", "").startswith("text/html"):
            patch_vary_headers(answer, ["HX-Request"])
        return answer


class SignInMiddleware(LoginRequiredMiddleware):
    """Django's own, but htmx is told to move the browser instead of following unseen."""

    def handle_no_permission(  # type: ignore[override]
        self, request: HttpRequest, view_func: Callable[..., HttpResponseBase]
    ) -> HttpResponseBase:
        return ask_to_sign_in(request)


class DomainErrorMiddleware:
    """Turns what a service refused into the page or fragment that says so."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if isinstance(exception, DomainError):
            return answers.page_for(request, exception)
        return None
