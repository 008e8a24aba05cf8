"""The one settings file; what differs between installations comes from the environment."""

from __future__ import annotations

from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

from config import environment as env

BASE_DIR = env.BASE_DIR
VAR_DIR = env.VAR_DIR

SIGNALBOX_ENV = env.text("SIGNALBOX_ENV", "development")
if SIGNALBOX_ENV not in {"development", "production"}:
    raise ImproperlyConfigured("SIGNALBOX_ENV must be development or production.")
PRODUCTION = SIGNALBOX_ENV == "production"
SIGNALBOX_ROLE = env.text("SIGNALBOX_ROLE", "all")
if SIGNALBOX_ROLE not in {"all", "web", "gateway"}:
    raise ImproperlyConfigured("SIGNALBOX_ROLE must be all, web or gateway.")
SIGNALBOX_URL = env.text("SIGNALBOX_URL", "http://127.0.0.1:8000")

DEBUG = env.flag("SIGNALBOX_DEBUG")
if DEBUG and PRODUCTION:
    raise ImproperlyConfigured("SIGNALBOX_DEBUG cannot be on in production.")
SECRET_KEY = env.secret_key(production=PRODUCTION)
ALLOWED_HOSTS = env.words("SIGNALBOX_HOSTS") or [
    urlsplit(SIGNALBOX_URL).hostname or "127.0.0.1",
    *([] if PRODUCTION else ["127.0.0.1", "localhost", "[::1]"]),
]
CSRF_TRUSTED_ORIGINS = env.words("SIGNALBOX_TRUSTED_ORIGINS")

INSTALLED_APPS = [
    "config.apps.SignalboxConfig",
    "screens",
    "audit",
    "accounts",
    "routing",
    "review",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "django_htmx",
    "rest_framework",
    "drf_spectacular",
    "template_partials",
]
if SIGNALBOX_ROLE == "gateway":
    # The live API draws nothing: what only screens need is not loaded.
    INSTALLED_APPS = [name for name in INSTALLED_APPS if name not in env.ONLY_FOR_SCREENS]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "screens.middleware.RequestIdMiddleware",
    "screens.middleware.ContentSecurityPolicyMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "screens.middleware.SignInMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "screens.middleware.DomainErrorMiddleware",
]

ROOT_URLCONF = "config.urls"
ASGI_APPLICATION = "config.asgi.application"
APPEND_SLASH = True

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "screens.context.screen",
            ],
            "loaders": [
                (
                    "template_partials.loader.Loader",
                    [
                        (
                            "django.template.loaders.cached.Loader",
                            [
                                "django.template.loaders.filesystem.Loader",
                                "django.template.loaders.app_directories.Loader",
                            ],
                        )
                    ],
                )
            ],
            "builtins": [
                "template_partials.templatetags.partials",
                "screens.templatetags.signalbox",
            ],
        },
    }
]

_DATABASE_URL = env.text("DATABASE_URL", "postgresql://signalbox@127.0.0.1:5432/signalbox")
DATABASES = {
    "default": env.database(_DATABASE_URL),
    "owner": env.database(env.text("DATABASE_OWNER_URL", _DATABASE_URL)),
    "sequencer": env.database(env.text("DATABASE_SEQUENCER_URL", _DATABASE_URL)),
}
# Migrations run as the owner, the sequencer as itself; tests see all three as one database.
DATABASES["owner"]["TEST"] = {"MIRROR": "default"}
DATABASES["sequencer"]["TEST"] = {"MIRROR": "default"}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

BROKER_URL = env.text("BROKER_URL", "redis://127.0.0.1:6379/0")
CELERY_BROKER_URL = BROKER_URL
CELERY_TASK_ACKS_LATE = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_DEFAULT_QUEUE = "default"
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TASK_ROUTES = {"audit.tasks.*report*": {"queue": "reports"}}

AUTH_USER_MODEL = "accounts.User"
AUTH_PASSWORD_VALIDATORS = [
    {
        "NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator",
        "OPTIONS": {"user_attributes": ("username", "full_name", "email")},
    },
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 12},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "overview"
LOGOUT_REDIRECT_URL = "login"

# A __Host- cookie needs https, which a fresh machine does not have.
_SECURE = PRODUCTION or SIGNALBOX_URL.startswith("https://")
SESSION_COOKIE_NAME = "__Host-signalbox" if _SECURE else "signalbox"
SESSION_COOKIE_SECURE = _SECURE
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_AGE = 12 * 3600
CSRF_COOKIE_NAME = "__Host-signalbox-csrf" if _SECURE else "signalbox-csrf"
CSRF_COOKIE_SECURE = _SECURE
CSRF_COOKIE_SAMESITE = "Lax"
CSRF_FAILURE_VIEW = "screens.answers.csrf_failure"
SECURE_SSL_REDIRECT = PRODUCTION and env.flag("SIGNALBOX_SSL_REDIRECT", default=True)
SECURE_HSTS_SECONDS = 31_536_000 if PRODUCTION else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = PRODUCTION
SECURE_HSTS_PRELOAD = PRODUCTION
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
if env.flag("SIGNALBOX_BEHIND_PROXY"):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
DATA_UPLOAD_MAX_MEMORY_SIZE = 2_621_440
# A rule of 64 conditions with every value of a long list ticked is sent as one form.
DATA_UPLOAD_MAX_NUMBER_FIELDS = 4_000

LANGUAGE_CODE = "en-gb"
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = False

STATIC_URL = "/static/"
STATIC_ROOT = VAR_DIR / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
WHITENOISE_USE_FINDERS = not PRODUCTION
if not PRODUCTION:
    # A fresh machine serves the files where they are; WhiteNoise asks for the folder all the same.
    STATIC_ROOT.mkdir(parents=True, exist_ok=True)
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"
        if PRODUCTION
        else "django.contrib.staticfiles.storage.StaticFilesStorage"
    },
}

REST_FRAMEWORK = {
    # The token first: its answer to a stranger is 401 and not 403.
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "accounts.authentication.TokenAuthentication",
        "accounts.authentication.SESSION",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "screens.api_errors.api_exception_response",
    "COERCE_DECIMAL_TO_STRING": True,
    "UNICODE_JSON": True,
}

DATA_CLASSES = ("public", "internal", "confidential", "restricted")

SPECTACULAR_SETTINGS = {
    "TITLE": "Signalbox management API",
    "DESCRIPTION": "What the screens do, for programs. Every change leaves its audit event.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SCHEMA_PATH_PREFIX": "/api/",
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    "ENUM_NAME_OVERRIDES": {
        "BackendStateEnum": "routing.models.backends.Backend.State",
        "VersionStateEnum": "routing.models.policies.PolicyVersion.State",
        "CaseStateEnum": "review.models.cases.Case.State",
        "JobStateEnum": "audit.models.JobState",
        "BoundaryEnum": "routing.models.backends.Boundary",
        "DataClassEnum": DATA_CLASSES,
    },
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "screens.api_schema.describe_errors_and_pages",
    ],
}

AUDIT_ORIGIN = env.text("SIGNALBOX_LOG_ORIGIN", "signalbox.local/ledger")
AUDIT_KEY_FILE = env.key_file("SIGNALBOX_AUDIT_KEY_FILE", "audit.key")
AUDIT_ANCHOR_FILE = env.text("SIGNALBOX_ANCHOR_FILE") or str(
    VAR_DIR / "anchors" / "checkpoints.txt"
)
PAYLOAD_KEY_FILE = env.key_file("SIGNALBOX_PAYLOAD_KEY_FILE", "payload.key")
REPORTS_DIR = VAR_DIR / "reports"
LIVE_BODY_LIMIT = env.number("SIGNALBOX_BODY_LIMIT", 2 * 1024 * 1024)
# How long a replica decides without a word of its database: keys and policies may have changed.
SNAPSHOT_MAX_AGE_S = env.number("SIGNALBOX_SNAPSHOT_MAX_AGE_S", 3600)

# Whether rules may route by the built-in classifier, of which nothing is proved on any backend.
FIRST_CLASSIFIER_MAY_ENFORCE = env.flag(
    "SIGNALBOX_FIRST_CLASSIFIER_MAY_ENFORCE", default=not PRODUCTION
)

# host:port pairs in private ranges that backends may use; everything else private is refused.
EGRESS_PRIVATE_ALLOWED = env.words("SIGNALBOX_PRIVATE_BACKENDS")
# The same for webhooks, apart, so that no webhook reaches a backend.
WEBHOOK_PRIVATE_ALLOWED = env.words("SIGNALBOX_PRIVATE_WEBHOOKS")

# How long a text must be shown before its answer may be released, in percent of what reading takes.
REVIEW_DWELL_PERCENT = env.number("SIGNALBOX_REVIEW_DWELL_PERCENT", 100)

# How long a reviewer's replay may take; a case that waits for one longer comes back without it.
REVIEW_REPLAY_TIMEOUT_S = 120

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": "screens.logs.JsonFormatter"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
    "root": {"handlers": ["stderr"], "level": "INFO"},
    "loggers": {
        "django.server": {"level": "WARNING"},
        "httpx": {"level": "WARNING"},
        # Their own handlers would write lines in another form, past the masking.
        "uvicorn": {"handlers": [], "propagate": True},
        "uvicorn.error": {"handlers": [], "propagate": True},
        "uvicorn.access": {"handlers": [], "propagate": True, "level": "WARNING"},
    },
}
