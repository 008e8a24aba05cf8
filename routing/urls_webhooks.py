"""Addresses of webhooks and their deliveries. Verbs at the end are POST."""

from __future__ import annotations

from django.urls import URLPattern, path

from routing.views import webhooks

_ONE = "settings/webhooks/<uuid:pk>/"
_DELIVERY = "settings/webhooks/deliveries/<uuid:pk>/"

urlpatterns: list[URLPattern] = [
    path("settings/webhooks/", webhooks.endpoint_list, name="webhooks"),
    path("settings/webhooks/new/", webhooks.new_endpoint, name="new-webhook"),
    path("settings/webhooks/deliveries/", webhooks.delivery_list, name="webhook-deliveries"),
    path(_DELIVERY, webhooks.delivery_page, name="webhook-delivery"),
    path(f"{_DELIVERY}send-again/", webhooks.send_again, name="send-webhook-again"),
    path(_ONE, webhooks.endpoint_page, name="webhook"),
    path(f"{_ONE}change/", webhooks.change_endpoint, name="change-webhook"),
    path(f"{_ONE}rotate/", webhooks.rotate, name="rotate-webhook"),
    path(f"{_ONE}test/", webhooks.test, name="test-webhook"),
    path(f"{_ONE}disable/", webhooks.switch, {"to": "disable"}, name="disable-webhook"),
    path(f"{_ONE}enable/", webhooks.switch, {"to": "enable"}, name="enable-webhook"),
]
