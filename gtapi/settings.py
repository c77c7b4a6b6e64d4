"""Django settings, read from environment variables.

Without ``DATABASE_URL``, the gateway uses embedded servers and generated secrets, both stored under ``GTAPI_HOME``.
With it, all secrets must be set: they have no defaults in production.
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

#: Whether the gateway uses an embedded PostgreSQL, and by default an embedded Redis and generated secrets.
EMBEDDED = "DATABASE_URL" not in env.ENVIRON
_secrets = data_dir.secrets() if EMBEDDED else {}


def _secret(name: str) -> str:
    return str(env.str(name, default=_secrets[name]) if EMBEDDED else env.str(name))


def _secret_list(name: str) -> list[str]:
    return [part.strip() for part in _secret(name).split(",") if part.strip()]


SECRET_KEY = _secret("SECRET_KEY")
#: Peppers of the API key digests, newest first. Keys made with any of them are accepted.
KEY_PEPPERS = _secret_list("KEY_PEPPERS")
#: Fernet keys for stored credentials, newest first; the first one encrypts, all of them decrypt.
ENCRYPTION_KEYS = _secret_list("ENCRYPTION_KEYS")
if not KEY_PEPPERS or not ENCRYPTION_KEYS:
    # Without a pepper every API key would be rejected; without an encryption key no credential could be stored.
    raise ImproperlyConfigured("KEY_PEPPERS and ENCRYPTION_KEYS must each contain at least one value.")
try:
    # Fail at startup rather than at the first request that needs a credential.
    MultiFernet([Fernet(key) for key in ENCRYPTION_KEYS])
except ValueError:
    raise ImproperlyConfigured(
        "ENCRYPTION_KEYS must be a comma-separated list of Fernet keys (32 bytes, url-safe base64)."
    ) from None

DEBUG = env.bool("DEBUG", default=False)
#: Hosts of the admin, separated by commas. The API has its own rules per tenant; health checks accept any host.
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"] if EMBEDDED else [])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])
#: Whether a reverse proxy terminates TLS and overwrites X-Forwarded-Proto and X-Forwarded-Host. Default: false.
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

#: Middleware of the admin. The API uses API_MIDDLEWARE instead, see gtapi.web.api_handler.
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
#: Middleware of the API as dotted paths, outermost first. Default: none.
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
# In a URL, the folder of a unix socket is percent-encoded in place of the host.
_database["HOST"] = unquote(_database.get("HOST", ""))
_database["CONN_MAX_AGE"] = 0
_database["OPTIONS"] = {
    **_database.get("OPTIONS", {}),
    # A pool, so that threads do not wait for each other's queries.
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
#: Name of an S3 bucket that stores files instead of MEDIA_ROOT. Default: none. Without the two credential settings,
#: boto3 looks for credentials in its usual places.
FILES_S3_BUCKET = env.str("FILES_S3_BUCKET", default="")
if FILES_S3_BUCKET and find_spec("storages") is None:
    raise ImproperlyConfigured("FILES_S3_BUCKET requires the packages of requirements/production-s3.txt.")
_s3_storage: dict[str, Any] = {
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
_folder_storage = {"BACKEND": "django.core.files.storage.FileSystemStorage"}
STORAGES = {
    "default": _s3_storage if FILES_S3_BUCKET else _folder_storage,
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
#: Serve static files directly from the installed packages, without collectstatic.
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = False

REST_FRAMEWORK = {
    "EXCEPTION_HANDLER": "gtapi.errors.exception_handler",
    # The API's views do not use these; see gtapi.web.views.
    "DEFAULT_AUTHENTICATION_CLASSES": [],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAdminUser"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "UNAUTHENTICATED_USER": None,
    "UNAUTHENTICATED_TOKEN": None,
}

# --- the gateway ------------------------------------------------------------------------------------------

#: Maximum size of a JSON request body, in bytes. Default: 32 MiB.
MAX_BODY_BYTES = env.int("MAX_BODY_BYTES", default=32 * 1024 * 1024)
#: Maximum size of a multipart request body, in bytes. Default: 128 MiB.
MAX_UPLOAD_BYTES = env.int("MAX_UPLOAD_BYTES", default=128 * 1024 * 1024)
#: Folder for uploads while they are received. Default: the system's temporary folder.
UPLOAD_TEMP_DIR: str | None = env.str("UPLOAD_TEMP_DIR", default=None)
#: The same for uploads in the admin.
FILE_UPLOAD_TEMP_DIR = UPLOAD_TEMP_DIR
#: Maximum size of the request line and headers, in bytes; a larger request gets a 431. Default: 64 KiB.
MAX_HEADER_BYTES = env.int("MAX_HEADER_BYTES", default=64 * 1024)
#: Seconds to receive the request headers before the connection is closed. Default: 30.
HEADER_SECONDS = env.float("HEADER_SECONDS", default=30.0)
#: Seconds to wait for a request body, and the bytes that extend the wait by a second. The time that the gateway
#: spends processing the body does not count. Default: 60 seconds, 16 KiB.
BODY_SECONDS = env.float("BODY_SECONDS", default=60.0)
BODY_MIN_RATE = env.int("BODY_MIN_RATE", default=16 * 1024)
#: Seconds between two checks for changes of keys, agents and models. Default: 0.25.
POLICY_POLL_SECONDS = env.float("POLICY_POLL_SECONDS", default=0.25)
#: Seconds for which cached keys are accepted while PostgreSQL is unavailable, before a 503. Default: 60.
POLICY_STALE_SECONDS = env.float("POLICY_STALE_SECONDS", default=60.0)
#: Seconds without data after which a keep-alive comment is sent in a stream. Default: 15.
STREAM_KEEPALIVE_SECONDS = env.float("STREAM_KEEPALIVE_SECONDS", default=15.0)
#: Seconds after which a client that does not read its stream is disconnected. Default: 120.
STREAM_STALL_SECONDS = env.float("STREAM_STALL_SECONDS", default=120.0)
#: Seconds for which the URL of a generated image is valid. Default: 3,600.
IMAGE_URL_SECONDS = env.int("IMAGE_URL_SECONDS", default=3600)
#: Maximum size of a conversation in bytes, and maximum number of messages, also in a request that continues one.
#: A chat request loads the whole conversation into memory. Default: 32 MiB, 5,000.
CONVERSATION_MAX_BYTES = env.int("CONVERSATION_MAX_BYTES", default=32 * 1024 * 1024)
CONVERSATION_MAX_ITEMS = env.int("CONVERSATION_MAX_ITEMS", default=5_000)
#: Folder of the usage spool, which is used while Redis is unavailable. Default: var/spool.
USAGE_SPOOL_DIR = Path(env.str("USAGE_SPOOL_DIR", default=str(data_dir.spool)))
#: Days to keep usage records, deleted by whole months; 0 keeps them forever. Default: 400.
USAGE_RETENTION_DAYS = env.int("USAGE_RETENTION_DAYS", default=400)
#: Days to keep explanations (of tenants that record them); 0 keeps them forever. Default: 30.
EXPLANATION_RETENTION_DAYS = env.int("EXPLANATION_RETENTION_DAYS", default=30)
#: Async context managers that each web process enters at startup, in this order.
SERVICES = [
    "tenants.policy_cache.watching",
    "tenants.usage.ledger.recording",
    "inference.providers.http_client.connected",
]

#: Quotas of a tenant, unless it has its own: size of a file in bytes, number of files, bytes of all files together.
#: Default: 128 MiB, 100,000, 100 GiB.
FILES_MAX_BYTES = env.int("FILES_MAX_BYTES", default=128 * 1024 * 1024)
FILES_MAX_COUNT = env.int("FILES_MAX_COUNT", default=100_000)
FILES_MAX_STORED_BYTES = env.int("FILES_MAX_STORED_BYTES", default=100 * 1024**3)
#: More quotas of a tenant: files in datasets (a file counts once per dataset), and datasets created by clients.
#: Default: 400,000, 10,000.
FILES_MAX_DATASET_FILES = env.int("FILES_MAX_DATASET_FILES", default=400_000)
FILES_MAX_DATASETS = env.int("FILES_MAX_DATASETS", default=10_000)

#: Limits of text extraction from a file: seconds of CPU time, and seconds of wall-clock time. Default: 30, 90.
EXTRACTION_SECONDS = env.int("EXTRACTION_SECONDS", default=30)
EXTRACTION_DEADLINE_SECONDS = env.float("EXTRACTION_DEADLINE_SECONDS", default=90.0)
#: Additional seconds of CPU time for a file that needs OCR. Its wall-clock limit is the sum of both CPU limits.
#: Default: 120.
OCR_SECONDS = env.int("OCR_SECONDS", default=120)
#: Address space (RLIMIT_AS) of the extraction process, in bytes; about a third is used before a file is read.
#: Default: 1.5 GiB.
EXTRACTION_MEMORY_BYTES = env.int("EXTRACTION_MEMORY_BYTES", default=1536 * 1024 * 1024)
#: Maximum number of characters in the text of a file; a longer file fails. Default: 10,000,000.
EXTRACTION_MAX_CHARACTERS = env.int("EXTRACTION_MAX_CHARACTERS", default=10_000_000)
#: Folder for temporary files of the extraction process. Default: the system's temporary folder.
EXTRACTION_TEMP_DIR: str | None = env.str("EXTRACTION_TEMP_DIR", default=None)

#: Functions that embed and transcribe for the app `files`, as dotted paths; see files.backends.
FILES_EMBEDDER = "inference.file_backends.embed"
FILES_SCALE = "inference.file_backends.scale"
FILES_TRANSCRIBER = "inference.file_backends.transcribe"
#: Seconds that a search waits for the embedding of its query before it falls back to full-text search. Default: 10.
SEARCH_EMBEDDING_SECONDS = env.float("SEARCH_EMBEDDING_SECONDS", default=10.0)
#: maintenance_work_mem of PostgreSQL while it builds a vector index. Default: 1GB.
SEARCH_INDEX_MEMORY = env.str("SEARCH_INDEX_MEMORY", default="1GB")
#: Async context managers that an ingest worker enters while it processes files.
INGEST_SERVICES = [
    "tenants.usage.ledger.recording",
    "inference.providers.http_client.connected",
]
#: Seconds without a heartbeat after which another worker takes over a file. Default: 30.
INGEST_LEASE_SECONDS = env.float("INGEST_LEASE_SECONDS", default=30.0)

for _name in (
    "MAX_BODY_BYTES", "MAX_UPLOAD_BYTES", "MAX_HEADER_BYTES", "HEADER_SECONDS", "BODY_SECONDS", "BODY_MIN_RATE",
    "POLICY_POLL_SECONDS", "STREAM_KEEPALIVE_SECONDS", "STREAM_STALL_SECONDS", "EXTRACTION_SECONDS",
    "EXTRACTION_DEADLINE_SECONDS", "EXTRACTION_MEMORY_BYTES", "EXTRACTION_MAX_CHARACTERS",
    "SEARCH_EMBEDDING_SECONDS", "INGEST_LEASE_SECONDS",
):  # fmt: skip
    # 0 does not mean "no limit": it would make requests or files fail.
    if globals()[_name] <= 0:
        raise ImproperlyConfigured(f"{_name} must be greater than 0.")

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
#: Seconds for a pool process to start. Celery's default of 4 is too short on a busy machine.
CELERY_WORKER_PROC_ALIVE_TIMEOUT = 30.0
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = True
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": 3600,
    # Redeliver the tasks of a killed worker within seconds rather than minutes.
    "unacked_restore_interval": 2,
    "unacked_restore_throttle": 1,
    "socket_timeout": 30,
    "socket_connect_timeout": 1,
    "socket_keepalive": True,
}
#: Ingestion is slow and has separate queues, so that it does not delay other tasks, nor OCR other files.
CELERY_TASK_ROUTES = {"files.tasks.ingest": {"queue": "ingest"}, "files.tasks.ocr": {"queue": "ocr"}}
CELERY_BEAT_SCHEDULE = {
    "ingest": {"task": "files.tasks.ingest", "schedule": 2.0, "options": {"expires": 10}},
    "wake-ocr": {"task": "files.tasks.wake_ocr", "schedule": 2.0, "options": {"expires": 10}},
    "check-ocr-worker": {
        "task": "files.tasks.check_ocr_worker",
        "schedule": 600.0,
        "options": {"expires": 300},
    },
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
        # Usage records are not included: they can only be searched by request id, on their own page.
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

# --- logging: to standard error, which the process manager writes to a file ---------------------------------

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
