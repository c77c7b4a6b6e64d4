"""The routes under ``/files``: OpenAI's own, for the files of a key and of the datasets that are granted to it."""

from typing import Any, ClassVar

from files import uploads
from files.models import File
from files.shapes import PURPOSES, file_object, telling_place
from files.uploads import Kept, Upload
from files.views.uploads import UploadView
from gtapi.checks import missing, one_of
from gtapi.database import in_thread
from gtapi.request import APIRequest
from gtapi.responses import JSONResponse
from tenants.views import KeyedView

JSON = dict[str, Any]
#: Longest name of an end user, in characters.
MAX_USER = 200


class FilesView(UploadView):
    route = "/files"
    scope = "files:read"
    scopes: ClassVar[dict[str, str]] = {"POST": "files:write"}

    async def post(self, request: APIRequest) -> JSONResponse:
        async with self.received(request) as received:
            purpose = received.form.get("purpose")
            if purpose is None:
                raise missing("purpose")
            one_of(PURPOSES)("purpose", purpose)
            upload = Upload(
                self.auth.tenant_id,
                self.auth.id,
                File.Origin.FILES,
                received.incoming,
                purpose=purpose,
                idempotency_key=received.idempotency_key,
            )
            return JSONResponse(told(await self.keep(upload)))


class FileView(KeyedView):
    """One file, in the words of the route by which it came."""

    route = "/files/{id}"
    scope = "files:read"
    scopes: ClassVar[dict[str, str]] = {"DELETE": "files:write"}

    async def get(self, request: APIRequest, file_id: str) -> JSONResponse:
        return JSONResponse(await in_thread(self._get, file_id, request.GET.get("user") or ""))

    def _get(self, file_id: str, user: str) -> JSON:
        file = self.file(file_id, user)
        place = telling_place(file.places.select_related("dataset"))
        return file_object(file, place, own=file.origin != File.Origin.FILES)

    def file(self, file_id: str, user: str) -> File:
        """Return a file that the key may see.

        Raises:
            NotFound: there is none, whatever the reason.
        """
        # PostgreSQL takes no NUL, not even to look for one.
        if "\0" in file_id or "\0" in user:
            raise uploads.no_file(file_id)
        found = uploads.readable(self.auth.id, self.auth.tenant_id, user).filter(pk=file_id).first()
        if found is None:
            raise uploads.no_file(file_id)
        return found


def told(kept: Kept) -> JSON:
    """Return what the answer to an upload says of it."""
    return file_object(kept.file, kept.place, own=kept.file.origin != File.Origin.FILES)
