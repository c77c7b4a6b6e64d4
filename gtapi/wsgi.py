"""WSGI, for tools that want it; the gateway itself is served as ASGI."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gtapi.settings")
application = get_wsgi_application()
