"""Settings: API keys and people."""

from __future__ import annotations

from django.urls import path

from accounts.views import keys, people, tokens

urlpatterns = [
    path("keys/", keys.key_list, name="keys"),
    path("keys/new/", keys.new_key, name="new-key"),
    path("keys/<slug:public_id>/", keys.key_page, name="key"),
    path("keys/<slug:public_id>/rotate/", keys.rotate, name="rotate-key"),
    path("keys/<slug:public_id>/revoke/", keys.revoke, name="revoke-key"),
    path("tokens/", tokens.tokens, name="tokens"),
    path("tokens/<slug:public_id>/revoke/", tokens.revoke, name="revoke-token"),
    path("people/", people.people_list, name="people"),
    path("people/new/", people.new_person, name="new-person"),
    path("people/roles/", people.role_matrix, name="role-matrix"),
    path("people/<int:pk>/", people.person_page, name="person"),
    path("people/<int:pk>/roles/", people.change_roles, name="change-roles"),
    path("people/<int:pk>/password/", people.set_password, name="set-password"),
    path("people/<int:pk>/deactivate/", people.deactivate, name="deactivate-person"),
    path("people/<int:pk>/reactivate/", people.reactivate, name="reactivate-person"),
]
