"""Settings of the naive gateway: the product's, with Django's stock middleware and DRF's defaults."""

from gtapi.settings import *  # noqa: F403

ROOT_URLCONF = "benchmarks.naive.urls"
ASGI_APPLICATION = "benchmarks.naive.asgi.application"
#: What `startproject` writes.
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [],
    "DEFAULT_PERMISSION_CLASSES": [],
    "UNAUTHENTICATED_USER": None,
}
SERVICES = [
    "tenants.policy_cache.watching",
    "tenants.usage.ledger.recording",
    "benchmarks.naive.views.client_open",
]
