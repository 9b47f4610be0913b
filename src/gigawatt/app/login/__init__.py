"""Login of people through an OpenID provider (ADR-0026)."""
