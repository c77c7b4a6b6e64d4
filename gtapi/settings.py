"""Settings of the whole project, read from the environment.

Without ``DATABASE_URL`` the embedded servers under ``GTAPI_HOME`` are used, and the secrets are the ones made
there. With it, every secret has to be given: nothing is defaulted in production.
"""

from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import environ
from cryptography.fernet import Fernet, MultiFernet
from django.core.exceptions import ImproperlyConfigured

from gtapi.data_dir import data_dir

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()

#: Whether this process runs against servers of its own, as `make run` and the tests do.
EMBEDDED = "DATABASE_URL" not in env.ENVIRON
_secrets = data_dir.secrets() if EMBEDDED else {}


def _secret(name: str) -> str:
    return str(env.str(name, default=_secrets[name]) if EMBEDDED else env.str(name))


def _secret_list(name: str) -> list[str]:
    return [part.strip() for part in _secret(name).split(",") if part.strip()]


SECRET_KEY = _secret("SECRET_KEY")
#: Peppers of the key digests, newest first; a key made with any of them is accepted.
KEY_PEPPERS = _secret_list("KEY_PEPPERS")
#: Fernet keys for stored credentials, newest first; the first one encrypts, all of them decrypt.
ENCRYPTION_KEYS = _secret_list("ENCRYPTION_KEYS")
if not KEY_PEPPERS or not ENCRYPTION_KEYS:
    # Without a pepper every key would be refused, and without a key no credential could be kept.
    raise ImproperlyConfigured("KEY_PEPPERS and ENCRYPTION_KEYS need at least one value each.")
try:
    # Before anything is served: the first request that needs a credential would come too late.
    MultiFernet([Fernet(key) for key in ENCRYPTION_KEYS])
except ValueError:
    raise ImproperlyConfigured(
        "ENCRYPTION_KEYS has to be a comma-separated list of Fernet keys (32 bytes, url-safe base64)."
    ) from None

DEBUG = env.bool("DEBUG", default=False)
#: Hosts that the admin answers on. The API binds hosts to tenants by itself, the health pages answer on any.
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"] if EMBEDDED else [])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])
#: Set it where a proxy terminates TLS and overwrites X-Forwarded-Proto and X-Forwarded-Host.
BEHIND_PROXY = env.bool("BEHIND_PROXY", default=False)
if BEHIND_PROXY:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    USE_X_FORWARDED_HOST = True
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = env.bool("SECURE_COOKIES", default=not EMBEDDED)
SESSION_COOKIE_HTTPONLY = True
X_FRAME_OPTIONS = "DENY"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"

INSTALLED_APPS = [
    "unfold",
    "unfold.contrib.filters",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "rest_framework",
    "gtapi",
    "tenants",
    "files",
    "inference",
]

#: The admin's chain. The API has one of its own, see gtapi.web.api_handler.
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
#: Async middleware of the API's prefix, outermost first.
API_MIDDLEWARE: list[str] = env.list("API_MIDDLEWARE", default=[])

ROOT_URLCONF = "gtapi.urls"
ASGI_APPLICATION = "gtapi.asgi.application"
WSGI_APPLICATION = "gtapi.wsgi.application"
APPEND_SLASH = True
LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "admin:index"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

_database: dict[str, Any] = (
    {"ENGINE": "django.db.backends.postgresql", **data_dir.database}
    if EMBEDDED
    else dict(env.db_url("DATABASE_URL"))
)
# A socket's folder stands in a URL as its host, percent-encoded.
_database["HOST"] = unquote(_database.get("HOST", ""))
_database["CONN_MAX_AGE"] = 0
_database["OPTIONS"] = {
    **_database.get("OPTIONS", {}),
    # A pool hands connections to threads; without one every query of a process waits for the one before it.
    "pool": {
        "min_size": env.int("DATABASE_POOL_MIN", default=0),
        "max_size": env.int("DATABASE_POOL_MAX", default=8),
        "timeout": env.float("DATABASE_POOL_TIMEOUT", default=5.0),
    },
    "connect_timeout": 5,
}
DATABASES = {"default": _database}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

MEDIA_ROOT = env.str("MEDIA_ROOT", default=str(data_dir.root / "media"))
#: A bucket in a store that speaks S3, in place of the folder. Without a credential Amazon's SDK looks for one.
FILES_S3_BUCKET = env.str("FILES_S3_BUCKET", default="")
if FILES_S3_BUCKET and find_spec("storages") is None:
    raise ImproperlyConfigured("FILES_S3_BUCKET needs the packages of requirements/production-s3.txt.")
_bucket: dict[str, Any] = {
    "BACKEND": "gtapi.s3.S3FileStorage",
    "OPTIONS": {
        "bucket_name": FILES_S3_BUCKET,
        "endpoint_url": env.str("FILES_S3_ENDPOINT_URL", default="") or None,
        "region_name": env.str("FILES_S3_REGION", default="") or None,
        "location": env.str("FILES_S3_PREFIX", default=""),
        "addressing_style": env.str("FILES_S3_ADDRESSING_STYLE", default="auto"),
        **{
            name: value
            for name, value in (
                ("access_key", env.str("FILES_S3_ACCESS_KEY_ID", default="")),
                ("secret_key", env.str("FILES_S3_SECRET_ACCESS_KEY", default="")),
            )
            if value
        },
    },
}
_folder = {"BACKEND": "django.core.files.storage.FileSystemStorage"}
STORAGES = {
    "default": _bucket if FILES_S3_BUCKET else _folder,
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}

REDIS_URL = env.str("REDIS_URL", default=data_dir.redis_url) if EMBEDDED else env.str("REDIS_URL")

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_I18N = False
USE_TZ = True

STATIC_URL = "static/"
#: Static files are found where the packages keep them, so that nothing has to be collected first.
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = False

REST_FRAMEWORK = {
    "EXCEPTION_HANDLER": "gtapi.errors.exception_handler",
    # Views of the API name an authentication and permissions of their own kind, see gtapi.web.views.
    "DEFAULT_AUTHENTICATION_CLASSES": [],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAdminUser"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "UNAUTHENTICATED_USER": None,
    "UNAUTHENTICATED_TOKEN": None,
}

# --- the gateway ------------------------------------------------------------------------------------------

#: Largest JSON body of an API request, in bytes.
MAX_BODY_BYTES = env.int("MAX_BODY_BYTES", default=32 * 1024 * 1024)
#: Largest body of an upload, in bytes.
MAX_UPLOAD_BYTES = env.int("MAX_UPLOAD_BYTES", default=128 * 1024 * 1024)
#: Where uploads are kept while they are passed on; by default the system's folder for such files.
UPLOAD_TEMP_DIR: str | None = env.str("UPLOAD_TEMP_DIR", default=None)
#: The same for what operators upload in the admin.
FILE_UPLOAD_TEMP_DIR = UPLOAD_TEMP_DIR
#: Largest request line and headers together, in bytes; beyond it the answer is 431.
MAX_HEADER_BYTES = env.int("MAX_HEADER_BYTES", default=64 * 1024)
#: Seconds in which the headers of a request have to come; after them the connection is closed.
HEADER_SECONDS = env.float("HEADER_SECONDS", default=30.0)
#: Seconds in which the body of a request has to come, and bytes of it that give a second more. Time in which the
#: gateway itself does something with the body is not counted.
BODY_SECONDS = env.float("BODY_SECONDS", default=60.0)
BODY_MIN_RATE = env.int("BODY_MIN_RATE", default=16 * 1024)
#: Seconds between two looks for changes of the policy.
POLICY_POLL_SECONDS = env.float("POLICY_POLL_SECONDS", default=0.25)
#: Seconds that warm snapshots serve while PostgreSQL is away; after them the API answers 503.
POLICY_STALE_SECONDS = env.float("POLICY_STALE_SECONDS", default=60.0)
#: Seconds of silence after which a stream gets a comment, so that no proxy closes it.
STREAM_KEEPALIVE_SECONDS = env.float("STREAM_KEEPALIVE_SECONDS", default=15.0)
#: Seconds after which a client that takes nothing of its stream counts as one that has left.
STREAM_STALL_SECONDS = env.float("STREAM_STALL_SECONDS", default=120.0)
#: Seconds for which the address of a made image is good.
IMAGE_URL_SECONDS = env.int("IMAGE_URL_SECONDS", default=3600)
#: Most bytes and messages that a conversation holds; of messages also those of a request to one. Whoever reads
#: all of a conversation has that much in memory.
CONVERSATION_MAX_BYTES = env.int("CONVERSATION_MAX_BYTES", default=32 * 1024 * 1024)
CONVERSATION_MAX_ITEMS = env.int("CONVERSATION_MAX_ITEMS", default=5_000)
#: Where usage records wait while Redis is away.
USAGE_SPOOL_DIR = Path(env.str("USAGE_SPOOL_DIR", default=str(data_dir.spool)))
#: Days that usage records are kept, in whole months; 0 keeps all of them.
USAGE_RETENTION_DAYS = env.int("USAGE_RETENTION_DAYS", default=400)
#: Days that the passages are kept that answers were given, where a tenant wants them kept; 0 keeps all of them.
EXPLANATION_RETENTION_DAYS = env.int("EXPLANATION_RETENTION_DAYS", default=30)
#: Async context managers that live as long as a web process does, in the order in which they start.
SERVICES = [
    "tenants.policy_cache.watching",
    "tenants.usage.ledger.recording",
    "inference.providers.http_client.connected",
]

#: Largest file that is kept, in bytes; most files of a tenant, and most bytes of all of them together.
#: A tenant may have limits of its own in their place.
FILES_MAX_BYTES = env.int("FILES_MAX_BYTES", default=128 * 1024 * 1024)
FILES_MAX_COUNT = env.int("FILES_MAX_COUNT", default=100_000)
FILES_MAX_STORED_BYTES = env.int("FILES_MAX_STORED_BYTES", default=100 * 1024**3)
#: Most times that files of a tenant are in datasets, and most datasets that clients make; or the tenant's own.
FILES_MAX_DATASET_FILES = env.int("FILES_MAX_DATASET_FILES", default=400_000)
FILES_MAX_DATASETS = env.int("FILES_MAX_DATASETS", default=10_000)

#: Seconds of processor time that reading one file may take, and seconds after which it is given up in any case.
EXTRACTION_SECONDS = env.int("EXTRACTION_SECONDS", default=30)
EXTRACTION_DEADLINE_SECONDS = env.float("EXTRACTION_DEADLINE_SECONDS", default=90.0)
#: Seconds of processor time more for a file with letters in pictures, which have to be recognised. Both
#: together are what such a file has by the clock, too.
RECOGNITION_SECONDS = env.int("RECOGNITION_SECONDS", default=120)
#: Memory of the process that reads a file, in bytes of addresses: a third of it is taken before there is a file.
EXTRACTION_MEMORY_BYTES = env.int("EXTRACTION_MEMORY_BYTES", default=1536 * 1024 * 1024)
#: Characters of text in one file; a file with more fails.
EXTRACTION_MAX_CHARACTERS = env.int("EXTRACTION_MAX_CHARACTERS", default=10_000_000)
#: Where such a process has its own files; by default the system's folder for them.
EXTRACTION_TEMP_DIR: str | None = env.str("EXTRACTION_TEMP_DIR", default=None)

#: Who embeds and transcribes for the app `files`, see files.backends.
FILES_EMBEDDER = "inference.file_backends.embed"
FILES_SCALE = "inference.file_backends.scale"
FILES_TRANSCRIBER = "inference.file_backends.transcribe"
#: Seconds that a search waits for its question's vector; after them the words alone are searched.
SEARCH_EMBEDDING_SECONDS = env.float("SEARCH_EMBEDDING_SECONDS", default=10.0)
SEARCH_INDEX_MEMORY = env.str("SEARCH_INDEX_MEMORY", default="1GB")
#: Async context managers that live as long as a worker is at work on files.
INGEST_SERVICES = [
    "tenants.usage.ledger.recording",
    "inference.providers.http_client.connected",
]
#: Seconds after which a file whose worker gives no sign any more is taken up by another one.
INGEST_LEASE_SECONDS = env.float("INGEST_LEASE_SECONDS", default=30.0)

for _name in (
    "MAX_BODY_BYTES", "MAX_UPLOAD_BYTES", "MAX_HEADER_BYTES", "HEADER_SECONDS", "BODY_SECONDS", "BODY_MIN_RATE",
    "POLICY_POLL_SECONDS", "STREAM_KEEPALIVE_SECONDS", "STREAM_STALL_SECONDS", "EXTRACTION_SECONDS",
    "EXTRACTION_DEADLINE_SECONDS", "EXTRACTION_MEMORY_BYTES", "EXTRACTION_MAX_CHARACTERS",
    "SEARCH_EMBEDDING_SECONDS", "INGEST_LEASE_SECONDS",
):  # fmt: skip
    # Whoever means "no limit" by 0 would have every upload or file fail, or some of them.
    if globals()[_name] <= 0:
        raise ImproperlyConfigured(f"{_name} has to be a number above 0.")

# --- Celery -----------------------------------------------------------------------------------------------

CELERY_BROKER_URL = env.str(
    "CELERY_BROKER_URL",
    default=REDIS_URL.replace("unix://", "redis+socket://", 1).replace("?db=", "?virtual_host=", 1),
)
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
#: Seconds that a process of a pool has to come up in; on a busy machine the default of 4 kills it for being slow.
CELERY_WORKER_PROC_ALIVE_TIMEOUT = 30.0
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = True
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": 3600,
    # A killed worker's tasks come back in seconds instead of minutes.
    "unacked_restore_interval": 2,
    "unacked_restore_throttle": 1,
    "socket_timeout": 30,
    "socket_connect_timeout": 1,
    "socket_keepalive": True,
}
#: Work on files takes long, and would hold up what is short.
CELERY_TASK_ROUTES = {"files.tasks.ingest": {"queue": "ingest"}}
CELERY_BEAT_SCHEDULE = {
    "ingest-what-waits": {"task": "files.tasks.ingest", "schedule": 2.0, "options": {"expires": 10}},
    "sweep-uploads": {"task": "files.tasks.sweep_uploads", "schedule": 600.0, "options": {"expires": 300}},
    "index-vectors": {"task": "files.tasks.index_vectors", "schedule": 60.0, "options": {"expires": 50}},
    "drain-usage": {"task": "tenants.tasks.drain_usage", "schedule": 1.0, "options": {"expires": 5}},
    "maintain-usage-partitions": {
        "task": "tenants.tasks.maintain_partitions",
        "schedule": 3600.0,
        "options": {"expires": 600},
    },
    "remove-expired-images": {
        "task": "inference.tasks.remove_expired_images",
        "schedule": 600.0,
        "options": {"expires": 300},
    },
    "prune-explanations": {
        "task": "inference.tasks.prune_explanations",
        "schedule": 3600.0,
        "options": {"expires": 600},
    },
    "end-lost-turns": {
        "task": "inference.tasks.end_lost_turns",
        "schedule": 3600.0,
        "options": {"expires": 600},
    },
    "prune-policy-changes": {
        "task": "tenants.tasks.prune_policy_changes",
        "schedule": 600.0,
        "options": {"expires": 300},
    },
}

# --- the admin's theme --------------------------------------------------------------------------------------

UNFOLD = {
    "SITE_TITLE": "GT API",
    "SITE_HEADER": "GT API",
    "SITE_SUBHEADER": "AI gateway",
    "SITE_SYMBOL": "hub",
    "SITE_URL": None,
    "SHOW_VIEW_ON_SITE": False,
    "SHOW_BACK_BUTTON": False,
    "BORDER_RADIUS": "8px",
    "COLORS": {
        "primary": {
            "50": "oklch(96.2% .018 272.3)",
            "100": "oklch(93% .034 272.8)",
            "200": "oklch(87% .065 274)",
            "300": "oklch(78.5% .115 274.7)",
            "400": "oklch(67.3% .182 276.9)",
            "500": "oklch(58.5% .233 277.1)",
            "600": "oklch(51.1% .262 277)",
            "700": "oklch(45.7% .24 277)",
            "800": "oklch(39.8% .195 277.4)",
            "900": "oklch(35.9% .144 278.7)",
            "950": "oklch(25.7% .09 281.3)",
        },
    },
    "STYLES": ["gtapi.admin_site.style"],
    "SCRIPTS": ["gtapi.admin_site.script", "gtapi.admin_site.files_script"],
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": "gtapi.admin_site.icon"}],
    "DASHBOARD_CALLBACK": "inference.admin.dashboard.context",
    "COMMAND": {
        # Usage is left out: it is searched by request id, on its own page.
        "search_models": [
            "tenants.Tenant",
            "tenants.InferenceKey",
            "inference.Provider",
            "inference.CatalogEntry",
            "inference.Agent",
            "files.Dataset",
            "files.DatasetFile",
        ],
    },
    "SIDEBAR": {
        "show_search": True,
        "command_search": True,
        "navigation": "gtapi.admin_site.navigation",
    },
}

# --- logging: one line an event on standard error, where the process manager puts it into a file -------------

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
    "filters": {"omit_tracebacks": {"()": "gtapi.log_filters.OmitTracebacks"}},
    "handlers": {
        "console": {
            "class": "logging.StreamHandler",
            "formatter": "line",
            "filters": ["omit_tracebacks"],
        }
    },
    "root": {"handlers": ["console"], "level": env.str("LOG_LEVEL", default="INFO")},
    "loggers": {
        "django.server": {"handlers": ["console"], "level": "INFO", "propagate": False},
        "httpx": {"level": "WARNING"},
    },
}
