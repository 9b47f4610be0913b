"""The only room that knows SQL.

``open.open_store_at`` gives a ``store.SqlStore`` on SQLite or PostgreSQL; ``schema`` has the
tables, ``version`` and ``migrations`` their revisions, ``changes`` the changes that touch several
of them, ``copying`` copies a store, ``audit`` is the independent auditor.
"""
