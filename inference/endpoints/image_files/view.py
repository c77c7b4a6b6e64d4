"""``GET /images/files/{name}``: a generated image under its signed name."""

from django.http import HttpResponse

from files.views.uploads import in_storage_thread
from gtapi.web.request import APIRequest
from gtapi.web.views import AsyncAPIView, NoAuthentication
from inference import image_storage


class ImageFileView(AsyncAPIView):
    """Needs no key: the signature in the URL is the permission."""

    authentication = NoAuthentication()

    async def get(self, request: APIRequest, name: str) -> HttpResponse:
        data, extension = await in_storage_thread(image_storage.fetch, name)
        headers = {
            "cache-control": "private, max-age=3600",
            "x-content-type-options": "nosniff",
            # An SVG may contain scripts, and the admin has the same origin.
            "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
        }
        return HttpResponse(data, content_type=image_storage.media_type(extension), headers=headers)
