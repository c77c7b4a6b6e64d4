"""The WSGI application, for tools that require one. The gateway itself is served by ASGI."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gtapi.settings")
application = get_wsgi_application()
