"""Access tokens of the management API: one's own, made and ended by oneself."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST

from accounts.forms import TokenForm
from accounts.models import AccessToken
from accounts.services import tokens as services
from screens.access import PERMISSIONS, needs
from screens.answers import status_of
from screens.errors import Conflict, Invalid, NotFound
from screens.pages import redirect_303, render_screen


@require_http_methods(["GET", "HEAD", "POST"])
@needs()
def tokens(request: HttpRequest) -> HttpResponse:
    form = TokenForm(request.POST or None, scopes=services.scopes_open_to(request.user))
    status = 200
    if request.method == "POST":
        status = 422
        if form.is_valid():
            try:
                token, text = services.create_token(by=request.user, **form.facts())
            except (Invalid, Conflict) as problem:
                form.add_error(None, problem.message)
                status = status_of(problem)
            else:
                context = {"token": token, "text": text}
                answer = render_screen(request, "accounts/token_once.html", context, status=201)
                answer["Cache-Control"] = "no-store"
                return answer
    now = timezone.now()
    context = {
        "form": form,
        "rows": [_row(token, now) for token in request.user.access_tokens.all()[:100]],
        "has_scopes": bool(services.scopes_open_to(request.user)),
    }
    return render_screen(request, "accounts/tokens.html", context, status=status)


def _row(token: AccessToken, now: object) -> dict[str, object]:
    ended = bool(token.revoked_at) or token.expires_at <= now  # type: ignore[operator]
    state = "revoked" if token.revoked_at else "expired" if ended else "active"
    return {
        "token": token,
        "state": state,
        "has_ended": ended,
        "may": [PERMISSIONS[code] for code in token.scopes if code in PERMISSIONS],
    }


@require_POST
@needs()
def revoke(request: HttpRequest, public_id: str) -> HttpResponse:
    token = AccessToken.objects.filter(public_id=public_id).first()
    if token is None:
        raise NotFound
    services.revoke_token(token=token, by=request.user, reason=request.POST.get("reason", ""))
    return redirect_303(request, "tokens", f"The token {token.name} has ended.")
