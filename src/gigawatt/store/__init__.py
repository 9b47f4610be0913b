"""The only room that knows SQL.

``sqlite.open_store`` gives a ``store.SqlStore``; ``schema`` has the tables, ``changes`` the changes
that touch several of them, ``audit`` the independent auditor.
"""
