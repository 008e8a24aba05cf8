"""The ground of every screen: access, page or fragment, navigation, charts and their look."""

from django.apps import AppConfig


class ScreensConfig(AppConfig):
    name = "screens"
    verbose_name = "Screens"
