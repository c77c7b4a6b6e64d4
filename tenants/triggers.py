"""Migration operations that create database triggers: policy changes, immutable columns, tenant isolation."""

from django.db.migrations.operations.special import RunSQL

FUNCTIONS = RunSQL(
    """
    CREATE FUNCTION tenants_log_policy_change() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        EXECUTE format(
            'INSERT INTO tenants_policychange (tenant_id, xid, created_at)
             SELECT DISTINCT %s, pg_current_xact_id()::text::bigint, now() FROM changed c %s',
            TG_ARGV[0], TG_ARGV[1]);
        RETURN NULL;
    END $$;

    CREATE FUNCTION tenants_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION '%', TG_ARGV[0] USING ERRCODE = 'check_violation';
    END $$;

    CREATE FUNCTION tenants_require_one_tenant() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        mixed boolean;
    BEGIN
        EXECUTE format('SELECT (%s) IS DISTINCT FROM (%s)', TG_ARGV[0], TG_ARGV[1]) USING NEW INTO mixed;
        IF mixed THEN
            RAISE EXCEPTION '% joins two tenants', TG_TABLE_NAME USING ERRCODE = 'check_violation';
        END IF;
        RETURN NEW;
    END $$;
    """,
    """
    DROP FUNCTION tenants_log_policy_change();
    DROP FUNCTION tenants_refuse();
    DROP FUNCTION tenants_require_one_tenant();
    """,
)


def log_changes(table: str, tenant: str = "c.tenant_id", join: str = "") -> RunSQL:
    """Log every insert, update and delete on ``table``, in bulk or not, as a ``PolicyChange``.

    Args:
        table: the table.
        tenant: an SQL expression for the tenant's id, over ``c`` (a changed row) and ``join``.
        join: an SQL join.
    """
    events = (("INSERT", "NEW"), ("UPDATE", "NEW"), ("DELETE", "OLD"))
    create = "".join(
        f"CREATE TRIGGER {table}_policy_{event.lower()} AFTER {event} ON {table}"
        f" REFERENCING {rows} TABLE AS changed FOR EACH STATEMENT"
        f" EXECUTE FUNCTION tenants_log_policy_change('{tenant}', '{join}');\n"
        for event, rows in events
    )
    drop = "".join(f"DROP TRIGGER {table}_policy_{event.lower()} ON {table};\n" for event, _ in events)
    return RunSQL(create, drop)


def refuse_update(table: str, name: str, when: str, message: str) -> RunSQL:
    """Refuse updates of ``table`` if ``when`` (SQL over OLD and NEW) is true."""
    return RunSQL(
        f"CREATE TRIGGER {table}_{name} BEFORE UPDATE ON {table} FOR EACH ROW"
        f" WHEN ({when}) EXECUTE FUNCTION tenants_refuse('{message}');",
        f"DROP TRIGGER {table}_{name} ON {table};",
    )


def keep_tenant(table: str) -> RunSQL:
    """Refuse to change the tenant of a row of ``table``."""
    return refuse_update(
        table,
        "keep_tenant",
        "OLD.tenant_id IS DISTINCT FROM NEW.tenant_id",
        "a row cannot move to another tenant",
    )


def require_one_tenant(table: str, name: str, left: str, right: str, columns: str = "") -> RunSQL:
    """Refuse rows that connect rows of different tenants.

    Args:
        table: the table.
        name: the trigger's name after the table's name.
        left: an SQL query for the tenant's id on one side, over ``$1``, the row.
        right: the same for the other side.
        columns: the columns whose updates are checked, for a table that is updated often; empty for all.
    """
    update = f"UPDATE OF {columns}" if columns else "UPDATE"
    return RunSQL(
        f"CREATE TRIGGER {table}_{name} BEFORE INSERT OR {update} ON {table} FOR EACH ROW"
        f" EXECUTE FUNCTION tenants_require_one_tenant('{left}', '{right}');",
        f"DROP TRIGGER {table}_{name} ON {table};",
    )
