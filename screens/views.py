"""The two screens of the ground itself: one's own preferences and the style guide."""

from __future__ import annotations

from dataclasses import asdict

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_GET, require_http_methods

from screens import preferences, styleguide
from screens.access import needs
from screens.forms import PreferencesForm
from screens.pages import redirect_303, render_screen


@require_http_methods(["GET", "HEAD", "POST"])
@needs()
def own_preferences(request: HttpRequest) -> HttpResponse:
    if request.method != "POST":
        form = PreferencesForm(initial=asdict(preferences.read(request)))
        return render_screen(request, "screens/preferences.html", {"form": form})
    form = PreferencesForm(request.POST)
    if not form.is_valid():
        return render_screen(request, "screens/preferences.html", {"form": form}, status=422)
    answer = redirect_303(request, "preferences", "Your preferences are saved in this browser.")
    preferences.write(request, answer, preferences.Preferences(**form.cleaned_data))
    return answer


@require_GET
@needs()
def style_guide(request: HttpRequest) -> HttpResponse:
    return render_screen(request, "screens/styleguide.html", styleguide.examples(request))
