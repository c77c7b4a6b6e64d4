"""The admin of operators' accounts and groups, styled by the theme."""

from typing import TYPE_CHECKING

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as StockGroupAdmin
from django.contrib.auth.admin import UserAdmin as StockUserAdmin
from django.contrib.auth.models import Group, User
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from tenants.admin.base import RowLockingAdmin

if TYPE_CHECKING:
    _UserAdmin = StockUserAdmin[User]
    _GroupAdmin = StockGroupAdmin
else:

    class _UserAdmin(StockUserAdmin, RowLockingAdmin):
        """Django's account pages with the theme's widgets."""

    class _GroupAdmin(StockGroupAdmin, RowLockingAdmin):
        """Django's group pages with the theme's widgets."""


admin.site.unregister(User)
admin.site.unregister(Group)


@admin.register(User)
class UserAdmin(_UserAdmin):
    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    compressed_fields = True


@admin.register(Group)
class GroupAdmin(_GroupAdmin):
    pass
