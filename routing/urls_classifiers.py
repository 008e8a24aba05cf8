"""Addresses of classifiers and of their trainings."""

from __future__ import annotations

from django.urls import path

from routing.views import classifiers

_ONE = "classifiers/<slug:name>/<int:version>/"
_TRAINING = "classifiers/trainings/<uuid:training_id>/"

urlpatterns = [
    path("classifiers/", classifiers.classifier_list, name="classifiers"),
    path(_TRAINING, classifiers.training, name="classifier-training"),
    path(f"{_TRAINING}cancel/", classifiers.cancel_training, name="cancel-training"),
    path(_ONE, classifiers.classifier, name="classifier"),
    path(f"{_ONE}retire/", classifiers.retire, name="retire-classifier"),
    path(f"{_ONE}artefact.json", classifiers.artefact, name="classifier-artefact"),
]
