"""Classifiers and the trainings that make them; a published classifier never changes."""

import django.core.validators
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import routing.models.classifiers

FORWARD = """
CREATE FUNCTION routing_freeze_classifier() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        RAISE EXCEPTION 'a classifier is never deleted' USING ERRCODE = 'restrict_violation';
    END IF;
    IF NEW.name <> OLD.name OR NEW.version <> OLD.version OR NEW.digest <> OLD.digest
       OR NEW.artefact <> OLD.artefact OR NEW.card <> OLD.card
       OR NEW.trained_groups <> OLD.trained_groups THEN
        RAISE EXCEPTION 'a published classifier does not change'
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER freeze_classifier BEFORE UPDATE OR DELETE ON routing_classifier
    FOR EACH ROW EXECUTE FUNCTION routing_freeze_classifier();
CREATE TRIGGER raise_revision AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON routing_classifier
    FOR EACH STATEMENT EXECUTE FUNCTION routing_raise_revision();
"""

BACKWARD = """
DROP TRIGGER raise_revision ON routing_classifier;
DROP TRIGGER freeze_classifier ON routing_classifier;
DROP FUNCTION routing_freeze_classifier;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("routing", "0004_lifecycle"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Classifier",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "name",
                    models.CharField(
                        max_length=60,
                        validators=[
                            django.core.validators.RegexValidator(
                                "\\A[a-z0-9]+(?:-[a-z0-9]+)*\\Z",
                                "Lower-case letters, digits and single hyphens.",
                            )
                        ],
                    ),
                ),
                ("version", models.PositiveIntegerField()),
                ("digest", models.CharField(max_length=71)),
                ("artefact", models.JSONField()),
                ("card", models.JSONField()),
                ("trained_groups", models.JSONField(default=list)),
                (
                    "state",
                    models.CharField(
                        choices=[("ready", "ready"), ("retired", "retired")],
                        default="ready",
                        max_length=8,
                    ),
                ),
                ("created_by", models.CharField(max_length=150)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "ordering": ("name", "-version"),
            },
        ),
        migrations.CreateModel(
            name="ClassifierTraining",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=routing.models.classifiers._new_id,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                (
                    "name",
                    models.CharField(
                        max_length=60,
                        validators=[
                            django.core.validators.RegexValidator(
                                "\\A[a-z0-9]+(?:-[a-z0-9]+)*\\Z",
                                "Lower-case letters, digits and single hyphens.",
                            )
                        ],
                    ),
                ),
                ("options", models.JSONField(default=dict)),
                ("evalset", models.BinaryField(default=b"")),
                ("rows", models.PositiveIntegerField(default=0)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("queued", "waiting to start"),
                            ("running", "running"),
                            ("done", "done"),
                            ("cancelled", "cancelled"),
                            ("failed", "failed"),
                        ],
                        default="queued",
                        max_length=9,
                    ),
                ),
                ("step", models.CharField(blank=True, max_length=120)),
                ("percent", models.PositiveSmallIntegerField(default=0)),
                ("problem", models.CharField(blank=True, max_length=500)),
                ("requested_by", models.CharField(max_length=150)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("seen_at", models.DateTimeField(null=True)),
                ("finished_at", models.DateTimeField(null=True)),
                (
                    "by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "classifier",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="trainings",
                        to="routing.classifier",
                    ),
                ),
            ],
            options={
                "ordering": ("-id",),
            },
        ),
        migrations.AddConstraint(
            model_name="classifier",
            constraint=models.UniqueConstraint(
                fields=("name", "version"), name="classifier_version_is_unique"
            ),
        ),
        migrations.RunSQL(FORWARD, BACKWARD),
    ]
